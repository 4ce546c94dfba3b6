#!/bin/sh
# Lines go over a bus and come out as they went in, and what came out goes over it again.
#
#     swap.sh FERRY SAME_LINES URL LINES
#
# LINES is a file of JSON lines, each beginning with {"topic":"...  The topics get a prefix of their own, so
# that the run disturbs nobody and nobody disturbs it.  The transport has to be durable.
set -eu

ferry=$1 same_lines=$2 url=$3 lines=$4
run=swap-$$
folder=$(mktemp -d)
reader=
finish() {
	status=$?
	trap - EXIT
	if [ -n "$reader" ]; then kill "$reader" 2>/dev/null || :; fi
	if [ "$status" -ne 0 ]; then cat "$folder"/*.err >&2 2>/dev/null || :; fi
	rm -rf "$folder"
	exit "$status"
}
trap finish EXIT

# wait_ready FILE: until the subscriber has said so there.
wait_ready() {
	tries=0
	until grep -q 'sub: ready' "$1"; do
		tries=$((tries + 1))
		if [ "$tries" -gt 600 ]; then echo "the subscriber does not get ready" >&2; exit 1; fi
		sleep 0.1
	done
}

# travel IN OUT: publish the lines of IN, and gather what comes in OUT.
travel() {
	topics=$(sed 's/.*\("topic":"[^"]*"\).*/\1/;s/"topic":"//;s/"//' "$1" | sort -u)
	count=$(wc -l <"$1")
	# shellcheck disable=SC2086 # topics have no spaces
	"$ferry" sub "$url" $topics --group "$run" --count "$count" --idle-exit 60 >"$2" 2>"$2.err" &
	reader=$!
	wait_ready "$2.err"
	"$ferry" pub "$url" --ndjson --file "$1" 2>"$2.pub.err"
	wait "$reader"
	reader=
	grep -q "pub: $((count)) confirmed\$" "$2.pub.err"
	"$same_lines" "$1" "$2"
}

sed "s/^{\"topic\":\"/&$run.there./" "$lines" >"$folder/there"
travel "$folder/there" "$folder/there.out"
# The first "topic" of a line is the message's: before it stands nothing but an id.
sed "s/\"topic\":\"$run.there/\"topic\":\"$run.back/" "$folder/there.out" >"$folder/back"
travel "$folder/back" "$folder/back.out"
