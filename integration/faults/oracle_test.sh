#!/bin/sh
# oracle_test.sh FAULTS FAULTY SQLITE WORK - does `faults` see what is wrong?
#
# It plays its scenarios on SQLITE as it is, where they must pass, and behind the transport FAULTY (tests/faulty)
# with one fault each, where they must fail with the sentence that the table says.
set -euf

# row FAULTS FAULTY SQLITE WORK "SCENARIO FAULT SENTENCE..." - one line of the table: an ok or a not ok
row() {
	faults=$1 faulty=$2 sqlite=$3 work=$4
	# shellcheck disable=SC2086 # the row is its words
	set -- $5
	scenario=$1 fault=$2
	shift 2
	file=$work/$scenario-$(echo "$fault" | tr '&=' '__')
	# Where a machine stands still, a fault may hide: it has three plans to show itself.
	for seed in 1 2 3; do
		status=0
		FAULTY_INNER=$sqlite "$faults" "$scenario" --seed $seed --transport "$faulty" --logs "$work" \
			--url "faulty:?inner=sqlite:$file.$seed.db&fault=$fault" >"$file.out" 2>&1 || status=$?
		if [ "$fault" = none ] || [ "$status" -ne 0 ]; then break; fi
	done
	if [ "$fault" = none ] && [ "$status" -eq 0 ]; then
		echo "ok $(cat "$file.out")"
	elif [ "$fault" != none ] && [ "$status" -eq 1 ] && grep -qE "^FAILED .*$*" "$file.out"; then
		echo "ok $fault: $(sed -n 's/^FAILED //p' "$file.out")"
	else
		echo "not ok $scenario under $fault: status $status"
		sed 's/^/  /' "$file.out"
	fi
}

if [ "$1" = row ]; then
	shift
	row "$@"
	exit
fi

rm -rf "$4"
mkdir -p "$4"
xargs -P 4 -I {} sh "$0" row "$1" "$2" "$3" "$4" {} <<'END' >"$4/results"
kill-consumer    lose&every=50             confirmed messages have no end
kill-consumer    forget-dlq                confirmed messages have no end
kill-publisher   ignore-handback           confirmed messages have no end
kill-consumer    drop-completion&every=90  load does not end
kill-consumer    lie-rejected&every=50     was refused, and came all the same
kill-consumer    duplicate&every=50        again after c[1-4] had settled it
kill-consumer    stale-settle&every=50     came in c[1-4] .*again
kill-retry       no-attempt                came as attempt 2, and then in c[1-4] as attempt 1
kill-consumer    short-lease               (the held message came to two consumers|as handled, and its handlers returned 0)
kill-consumer    corrupt-payload&every=90  came damaged
kill-retry       forget-hold               came as attempt 2, and then in c[1-4] as attempt 1
abort            no-attempt                is not dead-lettered
kill-consumer    none
freeze-consumer  none
kill-retry       none
abort            none
kill-publisher   none
END
cat "$4/results"
[ "$(grep -c '^ok' "$4/results")" -eq 17 ]
rm -rf "$4"
