#!/bin/sh
# faulty_table.sh FERRY FAULTY MEMORY SQLITE TABLE WORK - each conformance case fails under the fault that the
# table names for it; each case that a transport can break has a row, and each fault is in a row.
#
# The rows run side by side, because most of them wait for a message that does not come.  Output is TAP.
set -eu
ferry=$1 faulty=$2 memory=$3 sqlite=$4 table=$5 work=$6
jobs=${FAULTY_JOBS:-6}

# One row, in a process of its own: `faulty_table.sh row NUMBER CASE FAULT INNER SETTINGS`
row() {
	number=$1 case=$2 fault=$3 inner=$4 settings=$5
	case $inner in
	memory) url="faulty:?inner=memory:" FERRY_FAULTY_INNER=$memory ;;
	sqlite) url="faulty:?inner=sqlite:$work/$number.db" FERRY_FAULTY_INNER=$sqlite ;;
	*) echo "$inner is no inner transport" >&2 && return 1 ;;
	esac
	export FERRY_FAULTY_INNER
	if [ "$fault" = lie-capabilities ]; then
		export FERRY_FAULTY_LIE=1
	else
		url="$url&fault=$fault"
	fi
	[ -z "$settings" ] || url="$url&$settings"
	"$ferry" conformance --transport "$faulty" --only "$case" "$url" >"$work/$number.tap" 2>&1 || :
	if grep -q "^not ok $case " "$work/$number.tap"; then
		reason=$(sed -n 's/^  message: //p' "$work/$number.tap" | head -n 1)
		echo "ok $number - case $case fails under $fault over $inner: $reason"
	else
		echo "not ok $number - case $case does not fail under $fault over $inner"
		sed 's/^/# /' "$work/$number.tap"
	fi >"$work/$number.result"
	rm -f "$work/$number.db"*
}

if [ -n "${FAULTY_ROW:-}" ]; then
	# shellcheck disable=SC2086 # the row is its words
	set -- $FAULTY_ROW ""
	row "$1" "$2" "$3" "$4" "$5"
	exit 0
fi

rm -rf "$work"
mkdir -p "$work"
rows=$(sed 's/#.*//; /^[[:space:]]*$/d' "$table")
count=$(echo "$rows" | wc -l)
echo "TAP version 13"
echo "1..$((count + 2))"
export ferry faulty memory sqlite table work
echo "$rows" | awk '{print NR, $0}' |
	xargs -P "$jobs" -d '\n' -I ROW env FAULTY_ROW=ROW sh "$0" "$ferry" "$faulty" "$memory" "$sqlite" "$table" "$work"
number=0
status=0
while [ $number -lt "$count" ]; do
	number=$((number + 1))
	cat "$work/$number.result"
	grep -q '^ok ' "$work/$number.result" || status=1
done

# Cases without a row, of those that a transport can make fail.
missing=$("$ferry" conformance --list | grep -v -e '(core)' -e ' CONTROL' | awk '{print $1}' |
	while read -r case; do
		echo "$rows" | awk -v case="$case" '$1 == case {found = 1} END {exit !found}' || printf ' %s' "$case"
	done)
if [ -z "$missing" ]; then
	echo "ok $((count + 1)) - every case that a transport can break has a row"
else
	echo "not ok $((count + 1)) - no row for case$missing"
	status=1
fi

unused=$(sed -n 's/^\tX([A-Z_]*, "\([a-z-]*\)".*/\1/p' "$(dirname "$0")/fault.h" |
	while read -r fault; do
		[ "$fault" = none ] ||
			echo "$rows" | awk -v fault="$fault" '$2 == fault {found = 1} END {exit !found}' || printf ' %s' "$fault"
	done)
if [ -z "$unused" ]; then
	echo "ok $((count + 2)) - every fault is in a row"
else
	echo "not ok $((count + 2)) - no row with$unused"
	status=1
fi
exit $status
