#!/bin/sh
# faulty_row.sh FERRY FAULTY MEMORY SQLITE WORK "NUMBER CASE FAULT INNER [SETTINGS]" - one row of the table: writes
# WORK/NUMBER.result, one line of TAP, and after a failure what the conformance program said.
set -eu
ferry=$1 faulty=$2 memory=$3 sqlite=$4 work=$5
# shellcheck disable=SC2086 # the row is its words
set -- $6 ""
number=$1 case=$2 fault=$3 inner=$4 settings=$5

case $inner in
memory) url="faulty:?inner=memory:" FAULTY_INNER=$memory ;;
sqlite) url="faulty:?inner=sqlite:$work/$number.db" FAULTY_INNER=$sqlite ;;
*) echo "$inner is no inner transport" >&2 && exit 1 ;;
esac
export FAULTY_INNER
[ "$fault" != lie-capabilities ] || export FAULTY_LIE=1
url="$url&fault=$fault"
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
