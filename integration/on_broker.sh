#!/bin/sh
# on_broker.sh NAME faults PROGRAM SCENARIO [OPTION...] - play a scenario's seeds on a running server
# on_broker.sh NAME conformance PROGRAM                 - the conformance table, with control over the server
# on_broker.sh NAME orders PROGRAM EXPECTED             - the example prints the same lines as everywhere, twice
# on_broker.sh NAME script SCRIPT ARGUMENT...           - a script of tests/cli or ours; URL stands for the server's
#
# Where the server is and what controls it is in the environment, which `./dev brokers env` prints.  A server
# that is not there is a failure: these tests prove nothing without it.
set -eu
name=$1 kind=$2 program=$3
shift 3

# setting URL|CONTROL - print the environment's value.
setting() {
	eval "value=\${FERRY_TEST_${name}_$1-}"
	[ -n "$value" ] || {
		echo "FERRY_TEST_${name}_$1 is not set: start the server by ./dev brokers up, and then" \
			"eval \"\$(./dev brokers env)\"" >&2
		exit 1
	}
	echo "$value"
}

url=$(setting URL)
case $kind in
faults)
	control=$(setting CONTROL)
	exec "$program" "$@" --url "$url" --seeds "${FERRY_SEEDS:-5}" --control "$control"
	;;
conformance)
	control=$(setting CONTROL)
	exec "$program" conformance --control "$control" "$url"
	;;
orders)
	# The second run finds what the first has left.
	for run in first second; do
		FERRY_URL=$url "$program" | diff - "$1" || { echo "the $run run printed other lines" >&2 && exit 1; }
	done
	;;
script)
	for argument; do
		shift
		[ "$argument" != URL ] || argument=$url
		set -- "$@" "$argument"
	done
	exec sh "$program" "$@"
	;;
*) echo "on_broker.sh: there is no kind $kind" >&2 && exit 1 ;;
esac
