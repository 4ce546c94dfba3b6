#!/bin/sh
# rights_test.sh FERRY PLUGIN README - the rights that the README lists are enough, and each of them is needed.
#
# With all of them `ferry conformance` passes. Without one of them something fails: a case of it, named here
# beside the right, or trimming, of which it has no case.
set -eu
ferry=$1
readme=$3
FERRY_TRANSPORT_PATH=$(dirname "$2")
export FERRY_TRANSPORT_PATH
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# RIGHT CASE...
cases='+ping 1
+info 1
+type 1
+client|id 26 29
+client|unblock 26 29
+xgroup|create 1
+xgroup|destroy 1
+xgroup|delconsumer 23
+xinfo|groups 1
+xinfo|stream 19
+xadd 1
+xreadgroup 1
+xread 19
+xautoclaim 25
+xclaim 25
+xpending 25
+xack 24
+multi 34
+exec 34
+set trim
+time trim
+xtrim trim
+xrange 7
+scan 23
+xinfo|consumers 23'

listed=$(sed -n '/^    ACL SETUSER /,/^$/p' "$readme" | tr ' ' '\n' | grep '^+' | sort)
# The backquotes are the README's.
# shellcheck disable=SC2016
extra=$(sed -n 's/.*`ferry conformance` alone: `\(.*\)`.*/\1/p' "$readme" | tr ' ' '\n' | sort)
known=$(echo "$cases" | cut -d ' ' -f 1 | sort)
[ "$(printf '%s\n' "$listed" "$extra" | sort)" = "$known" ] ||
	fail "the README lists $(echo "$listed" "$extra" | xargs), and this script knows $(echo "$known" | xargs)"

server_start main --appendonly yes

# user NAME RIGHT... - with just these, and its URL in $url.
user() {
	user_name=$1
	shift
	answer=$(ask "$port" ACL SETUSER "$user_name" reset on '>secret' '~ferry:*' resetchannels -@all "$@")
	[ "$answer" = OK ] || fail "ACL SETUSER $user_name $*: $answer"
	url=redis://$user_name:secret@127.0.0.1:$port
}

# trims URL - what a group has settled goes.
trims() {
	topic=trim$user_name
	echo hello | "$ferry" pub "$1" "$topic" &&
		timeout 60 "$ferry" sub "$1?retain=0&trim_interval=100ms" "$topic" --group g --start earliest \
			--idle-exit 2 || return 1
	[ "$(ask "$port" XLEN "ferry:{$topic}")" = 0 ]
}

# without RIGHT CASE... - it fails when the right is taken away.
without() {
	right=$1
	shift
	rights=$(echo "$known" | grep -Fxv -- "$right")
	# shellcheck disable=SC2086
	user "without$number" $rights
	if [ "$1" = trim ]; then
		! trims "$url" || return 1
	else
		! timeout 120 "$ferry" conformance --only "$(echo "$*" | tr ' ' ,)" "$url" || return 1
	fi
}

# await - the tests that run; the server is a child, too, and does not end.
await() {
	# shellcheck disable=SC2086
	[ -z "$running" ] || wait $running || :
	running=
}

number=0
echo "$cases" >"$folder/cases"
running=
while read -r line; do
	number=$((number + 1))
	# Two or three words.
	# shellcheck disable=SC2086
	(without $line >"$folder/without$number.out" 2>&1 && touch "$folder/needed$number") &
	running="$running $!"
	[ $((number % 5)) -ne 0 ] || await
done <"$folder/cases"
await
while [ "$number" -gt 0 ]; do
	[ -e "$folder/needed$number" ] || fail "nothing fails without $(sed -n "${number}p" "$folder/cases")"
	number=$((number - 1))
done
# shellcheck disable=SC2086
user all $known
trims "$url" >"$folder/trims.out" 2>&1 || fail "nothing is trimmed: $(cat "$folder/trims.out")"
"$ferry" conformance "$url" >"$folder/conformance.out" 2>&1 || {
	grep -A 3 '^not ok' "$folder/conformance.out" >&2 || cat "$folder/conformance.out" >&2
	fail "conformance fails with the rights of the README"
}
# shellcheck disable=SC2086
user service $listed
trims "$url" >"$folder/trims.out" 2>&1 || fail "not enough for a service: $(cat "$folder/trims.out")"
denied=$(ask "$port" ACL LOG | grep -A 1 '^username$' | grep -cx 'all\|service') || :
[ "$denied" = 0 ] || fail "something was denied: $(ask "$port" ACL LOG)"
echo "$(echo "$known" | wc -l) rights"
