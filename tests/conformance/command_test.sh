#!/bin/sh
# command_test.sh FERRY - the command line of `ferry conformance`: exit status, TAP, JUnit, the list.
set -u
ferry=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0

# expect STATUS TEXT ARGUMENTS...: run the command and look for TEXT in all that it prints.
expect() {
	status=$1 text=$2
	shift 2
	"$ferry" conformance "$@" >"$folder/out" 2>&1
	got=$?
	if [ "$got" -ne "$status" ] || ! grep -qF -- "$text" "$folder/out"; then
		echo "conformance $*: expected status $status and \"$text\", got status $got and:"
		cat "$folder/out"
		failures=$((failures + 1))
	fi
}

expect 2 "a URL is needed"
expect 2 "--only '0' is not a list of numbers" --only 0 memory:
expect 2 "--only '55' is not a list of numbers" --only 55 memory:
expect 2 "--only '1,' is not a list of numbers" --only 1, memory:
expect 2 "--only '1x' is not a list of numbers" --only 1x memory:
expect 2 "unknown option '--nothing'" --nothing memory:
expect 2 "option '--only' needs a value" --only
expect 2 "unexpected argument 'nats:'" memory: nats:
expect 2 "try --only" --case 1 memory:
expect 2 "nothing" nothing:
expect 2 "queue" "memory:?queue=none"
expect 2 "/nowhere.so" --transport /nowhere.so memory:
expect 0 "Usage: ferry conformance" --help

expect 1 "/nowhere/file.xml cannot be written" --only 1 --junit /nowhere/file.xml memory:

expect 0 "ok 1 - publish: " --only 1,54 memory:
for line in 'TAP version 13' '1..54'; do
	grep -qxF "$line" "$folder/out" || failures=$((failures + 1))
done
expect 0 " # skip DURABLE" --only 12 memory:
expect 0 " # skip CONTROL" --only 22 memory:
expect 1 'message: "the control command failed: false cut' --only 22 --control false memory:
grep -q '^not ok 22 - broadcast: ' "$folder/out" || failures=$((failures + 1))

expect 1 "not ok 22" --only 1,22 --control false --junit "$folder/results.xml" memory:
grep -qF 'tests="54" failures="1"' "$folder/results.xml" || failures=$((failures + 1))
grep -qF '<failure message="the control command failed: false cut' "$folder/results.xml" ||
	failures=$((failures + 1))

expect 0 "12  competing: three processes share the messages, each comes once : PROCESSES" --list
[ "$(wc -l <"$folder/out")" -eq 54 ] || failures=$((failures + 1))

[ "$failures" -eq 0 ] || echo "$failures failures"
[ "$failures" -eq 0 ]
