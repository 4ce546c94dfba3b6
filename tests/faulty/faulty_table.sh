#!/bin/sh
# faulty_table.sh FERRY FAULTY MEMORY SQLITE TABLE WORK - each conformance case fails under the fault that the
# table names for it; each case that a transport can break has a row, and each fault is in a row.
#
# The rows run side by side, because most of them wait for a message that does not come.  Output is TAP.
set -eu
ferry=$1 faulty=$2 memory=$3 sqlite=$4 table=$5 work=$6
here=$(dirname "$0")

rm -rf "$work"
mkdir -p "$work"
rows=$(sed 's/#.*//; /^[[:space:]]*$/d' "$table" | awk '{print NR, $0}')
count=$(echo "$rows" | wc -l)
echo "TAP version 13"
echo "1..$((count + 2))"
echo "$rows" | xargs -P "${FAULTY_JOBS:-6}" -d '\n' -n 1 \
	sh "$here/faulty_row.sh" "$ferry" "$faulty" "$memory" "$sqlite" "$work"
number=0
status=0
while [ $number -lt "$count" ]; do
	number=$((number + 1))
	cat "$work/$number.result"
	grep -q '^ok ' "$work/$number.result" || status=1
done

# in_rows COLUMN WORD - is the word in this column of a row?
in_rows() {
	echo "$rows" | awk -v column="$1" -v word="$2" '$column == word {found = 1} END {exit !found}'
}

missing=$("$ferry" conformance --list | grep -v -e '(core)' -e ' CONTROL' | awk '{print $1}' |
	while read -r case; do in_rows 2 "$case" || printf ' %s' "$case"; done)
if [ -z "$missing" ]; then
	echo "ok $((count + 1)) - every case that a transport can break has a row"
else
	echo "not ok $((count + 1)) - no row for case$missing"
	status=1
fi

unused=$(sed -n 's/^\tX([A-Z_]*, "\([a-z-]*\)".*/\1/p' "$here/fault.h" |
	while read -r fault; do [ "$fault" = none ] || in_rows 3 "$fault" || printf ' %s' "$fault"; done)
if [ -z "$unused" ]; then
	echo "ok $((count + 2)) - every fault is in a row"
else
	echo "not ok $((count + 2)) - no row with$unused"
	status=1
fi
exit $status
