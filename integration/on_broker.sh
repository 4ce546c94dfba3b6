#!/bin/sh
# on_broker.sh NAME faults PROGRAM SCENARIO [OPTION...] - play a scenario's seeds on a running server
# on_broker.sh NAME conformance PROGRAM                 - the conformance table, with control over the server
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
control=$(setting CONTROL)
case $kind in
faults) exec "$program" "$@" --url "$url" --seeds "${FERRY_SEEDS:-5}" --control "$control" ;;
conformance) exec "$program" conformance --control "$control" "$url" ;;
*) echo "on_broker.sh: $kind is neither faults nor conformance" >&2 && exit 1 ;;
esac
