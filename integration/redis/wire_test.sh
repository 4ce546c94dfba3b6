#!/bin/sh
# wire_test.sh FERRY - what stands in the stream, and what others write into it
#
# FERRY_TEST_REDIS_DIRECT_URL names the server: redis-cli looks at it.
set -eu

ferry=$1
url=${FERRY_TEST_REDIS_DIRECT_URL:?start the server by ./dev brokers up redis, and then eval "\$(./dev brokers env)"}
topic=wire-$$
folder=$(mktemp -d)
reader=
finish() {
	[ -z "$reader" ] || kill "$reader" 2>/dev/null || :
	rm -rf "$folder"
}
trap finish EXIT

cli() {
	redis-cli -u "$url" "$@"
}

# expect TEXT FILE
expect() {
	grep -qF -- "$1" "$2" || { echo "$1 is not in:" >&2 && cat "$2" >&2 && exit 1; }
}

"$ferry" sub "$url" "$topic" --group wire --count 2 --idle-exit 30 >"$folder/out" 2>"$folder/err" &
reader=$!
tries=0
until grep -q 'sub: ready' "$folder/err"; do
	tries=$((tries + 1))
	[ "$tries" -lt 300 ] || { cat "$folder/err" >&2 && exit 1; }
	sleep 0.1
done
echo '{"cents":990}' | "$ferry" pub "$url" "$topic" --attr region=eu --key k1 --content-type application/json
cli XADD "ferry:{$topic}" '*' colour blue d hello >/dev/null
wait "$reader"
reader=

cli XRANGE "ferry:{$topic}" - + >"$folder/entries"
for text in ce-specversion 1.0 ce-id ce-source ferry-cli ce-type "$topic" ce-time content-type application/json \
	ce-partitionkey k1 region eu d '{"cents":990}'; do
	expect "$text" "$folder/entries"
done
expect '"payload":{"cents":990}' "$folder/out"
expect '"key":"k1"' "$folder/out"
expect '"attributes":{"colour":"blue"}' "$folder/out"
expect '"payload":"hello"' "$folder/out"
cli DEL "ferry:{$topic}" >/dev/null
