#!/bin/sh
# up_test.sh - brokers and control, with real Redis servers in a folder of the test's own.
#
# What is checked is a line of shell for later.
# shellcheck disable=SC2016,SC2034
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
work2=$(mktemp -d)
export FERRY_BROKERS_DIR="$work"
stranger=

clean() {
	FERRY_BROKERS_DIR=$work "$here/brokers" down >/dev/null || :
	FERRY_BROKERS_DIR=$work2 "$here/brokers" down >/dev/null || :
	[ -z "$stranger" ] || kill "$stranger" || :
	rm -rf "$work" "$work2"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM

check() {
	if ! eval "$2"; then
		echo "FAILED: $1: $2" >&2
		exit 1
	fi
	echo "ok: $1"
}

redis() {
	timeout 30 redis-cli -u "$FERRY_TEST_REDIS_URL" "$@" 2>&1
}

pid_of() {
	cut -d ' ' -f 1 "$work/redis/$1.pid"
}

"$here/brokers" up redis >/dev/null
eval "$("$here/brokers" env)"
check "a client reaches it through the proxy" '[ "$(redis ping)" = PONG ]'
check "and without" '[ "$(redis-cli -u "$FERRY_TEST_REDIS_DIRECT_URL" ping)" = PONG ]'
check "its data is in its folder" '[ -d "$work/redis/server/appendonlydir" ]'

server=$(pid_of server)
redis set key value >/dev/null
"$here/brokers" up redis >/dev/null
check "a second up leaves it alone" '[ "$(pid_of server)" = "$server" ]'

$FERRY_TEST_REDIS_CONTROL cut
check "a cut link refuses" 'redis ping | grep -q "Connection refused"'
check "but the server runs" '[ "$(redis-cli -u "$FERRY_TEST_REDIS_DIRECT_URL" ping)" = PONG ]'
$FERRY_TEST_REDIS_CONTROL heal
check "a healed link passes" '[ "$(redis ping)" = PONG ]'

for verb in stop kill; do
	server=$(pid_of server)
	$FERRY_TEST_REDIS_CONTROL "$verb"
	check "after $verb it is gone" '! redis ping | grep -q PONG'
	check "and not in the environment" '[ -z "$("$here/brokers" env)" ]'
	$FERRY_TEST_REDIS_CONTROL start
	check "after $verb and start another process has its port and data" \
		'[ "$(pid_of server)" != "$server" ] && [ "$(redis get key)" = value ]'
done
$FERRY_TEST_REDIS_CONTROL kill
"$here/brokers" up redis >/dev/null
check "up starts what has died" '[ "$(redis get key)" = value ]'

# Two at the same time: one starts it, the other finds it.
$FERRY_TEST_REDIS_CONTROL kill
"$here/brokers" up redis >"$work/first" &
first=$!
"$here/brokers" up redis >"$work/second"
wait "$first"
check "two ups at the same time start one server" \
	'[ "$(cat "$work/first" "$work/second" | grep -c "is up$")" = 1 ] && [ "$(redis get key)" = value ]'

FERRY_BROKERS_DIR=$work2 "$here/brokers" up redis >/dev/null
other=$(FERRY_BROKERS_DIR=$work2 "$here/brokers" env | sed -n 's/.*REDIS_URL=//p')
check "another folder has other servers" '[ -z "$(redis-cli -u "$other" get key)" ]'

# The pid of a dead server may be somebody else's by now.
$FERRY_TEST_REDIS_CONTROL kill
sleep 600 &
stranger=$!
echo "$stranger 1" >"$work/redis/server.pid"
$FERRY_TEST_REDIS_CONTROL kill
check "a pid that has been given to another process is not ours" 'kill -0 "$stranger"'

echo "no-such-setting yes" >>"$work/redis/server.conf"
check "one that does not come up is a failure" '! $FERRY_TEST_REDIS_CONTROL start 2>"$work/said"'
check "that names its log" 'grep -q "$work/redis/server.log" "$work/said"'
check "and shows its end" 'grep -q no-such-setting "$work/said"'
check "an unknown service is one" '! "$here/brokers" up rediss 2>"$work/said" && grep -q "no service" "$work/said"'
check "an unknown verb is one" '! $FERRY_TEST_REDIS_CONTROL burn 2>"$work/said" && grep -q "no verb" "$work/said"'

"$here/brokers" down >/dev/null
check "after down only logs are left" '[ -z "$(find "$work/redis" -type f ! -name "*.log")" ]'
check "and logs are" '[ -s "$work/redis/server.log" ]'
check "the other folder's server is not touched" '[ "$(redis-cli -u "$other" ping)" = PONG ]'
"$here/brokers" down >/dev/null
check "control needs a server that is up" '! $FERRY_TEST_REDIS_CONTROL start 2>"$work/said"'
