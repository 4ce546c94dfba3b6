#!/bin/sh
# However `ferry sub` ends, a message has been written once or comes again.
#
#     ends.sh FERRY URL [exact]
#
# `exact`: the transport hands back without counting an attempt.  It has to be durable.
set -eu

ferry=$1 url=$2 exact=${3-}
topic=ends-$$
folder=$(mktemp -d)
reader=
finish() {
	status=$?
	trap - EXIT
	if [ -n "$reader" ]; then kill "$reader" 2>/dev/null || :; fi
	if [ "$status" -ne 0 ]; then tail "$folder"/* >&2 || :; fi
	rm -rf "$folder"
	exit "$status"
}
trap finish EXIT

die() {
	echo "ends.sh: $*" >&2
	exit 1
}

# wait_for TEXT FILE: until it is there.
wait_for() {
	tries=0
	until grep -q "$1" "$2" 2>/dev/null; do
		tries=$((tries + 1))
		if [ "$tries" -gt 600 ]; then die "'$1' does not come"; fi
		sleep 0.1
	done
}

sub() {
	timeout 120 "$ferry" sub "$url" "$topic" --group "$topic" "$@" 2>>"$folder/sub.err"
}

# expect STATUS COMMAND...
expect() {
	wanted=$1
	shift
	got=0
	"$@" || got=$?
	if [ "$got" -ne "$wanted" ]; then die "status $got instead of $wanted: $*"; fi
}

# publish FIRST LAST: messages that tell their number.
publish() {
	seq "$1" "$2" | sed 's/^/number /' | "$ferry" pub "$url" "$topic" 2>>"$folder/pub.err"
}

# numbers FILE: of the whole lines in it.
numbers() {
	sed -n 's/.*"payload":"number \([0-9]*\).*}$/\1/p' "$1" | sort -n
}

# The group begins here.
expect 0 sub --idle-exit 1 >"$folder/none"
if [ -s "$folder/none" ]; then die "something came before anything was published"; fi

# --count is exact, and what follows comes to the next one.
publish 1 10
sub --count 3 >"$folder/got"
if [ "$(wc -l <"$folder/got")" -ne 3 ]; then die "--count 3 gave other than 3 lines"; fi

# A reader that has gone, and a full disk: the message in hand is not lost.
{
	wait_for gone "$folder/gone"
	got=0
	sub || got=$?
	echo "$got" >"$folder/status"
} | {
	exec <&-
	echo gone >"$folder/gone"
}
if [ "$(cat "$folder/status")" -ne 1 ]; then die "no failure though the reader has gone"; fi
grep -q 'standard output: Broken pipe' "$folder/sub.err"
expect 1 sub >/dev/full
grep -q 'standard output: No space left' "$folder/sub.err"

# Closed descriptors: nothing of its own takes their place and swallows lines.
expect 1 sub >&-
expect 1 sub <&- >&-
grep -q 'standard output is closed' "$folder/sub.err"

# Fewer than were asked for: a failure, and what came counts.
expect 1 sub --count 8 --idle-exit 2 >>"$folder/got"
seq 1 10 >"$folder/wanted"
numbers "$folder/got" | cmp - "$folder/wanted" || die "not each of 10 messages came once"
if [ "$exact" = exact ] && [ "$(grep -c '"attempt":1,' "$folder/got")" -ne 10 ]; then
	die "a message that was handed back counts an attempt"
fi

# A signal ends it in good order, also when it is sent twice, as timeout(1) does.
"$ferry" sub "$url" "$topic" --group "$topic" >"$folder/signal" 2>"$folder/signal.err" &
reader=$!
wait_for 'sub: ready' "$folder/signal.err"
publish 11 11
wait_for 'number 11' "$folder/signal"
kill -TERM "$reader"
kill -TERM "$reader" 2>/dev/null || : # it may have ended
expect 0 wait "$reader"
reader=
grep -q 'sub: 1 written' "$folder/signal.err"

# A reader that stands still does not keep it from ending, and a line that was cut comes again whole.  Lines of
# this length do not fit into a pipe.
mkfifo "$folder/pipe"
exec 3<>"$folder/pipe"
seq 1 5 | awk '{ printf "number %d ", $1; for (i = 0; i < 20000; i++) printf "0123456789"; print "" }' |
	"$ferry" pub "$url" "$topic" 2>>"$folder/pub.err"
"$ferry" sub "$url" "$topic" --group "$topic" >"$folder/pipe" 2>"$folder/still.err" 3<&- &
reader=$!
timeout 60 dd bs=1 count=1 <&3 >"$folder/begun" 2>"$folder/dd.err" # it writes
kill -TERM "$reader"
expect 0 wait "$reader"
reader=
exec 4<"$folder/pipe" 3<&-
cat <&4 >"$folder/still"
numbers "$folder/still" >"$folder/before"
if [ -s "$folder/before" ]; then die "a line came whole out of a pipe that nobody read"; fi
sub --count 5 --idle-exit 60 >"$folder/after"
numbers "$folder/after" >"$folder/numbers"
seq 1 5 | cmp - "$folder/numbers" || die "not each of 5 messages came once"
