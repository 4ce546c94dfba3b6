# lib.sh - what the scripts of this folder share: servers of their own, which end with the script.
# shellcheck shell=sh

folder=$(mktemp -d "${TMPDIR:-/tmp}/ferry-redis.XXXXXX")
server_program=${FERRY_TEST_REDIS_SERVER:-redis-server}
client_program=${server_program%-server}-cli

fail() {
	echo "$1" >&2
	exit 1
}

server_pid() {
	cat "$folder/$1.pid" 2>/dev/null
}

end_all() {
	for file in "$folder"/*.pid; do
		[ ! -f "$file" ] || kill -9 "$(cat "$file")" 2>/dev/null || :
	done
	rm -rf "$folder"
}
trap end_all EXIT
trap 'exit 1' HUP INT TERM

# free_port - not from the range of outgoing connections, one of which could get it first, nor from that of
# ./dev brokers, whose servers come back to their ports.
free_port() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		number=$(($(od -An -N2 -tu2 /dev/urandom) % 10000 + 20000))
		cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
			grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$number") " || break
	done
	echo "$number"
}

# server_start NAME SETTING... - it answers when this returns, and $port is where; PORT in a setting is replaced.
server_start() {
	server_name=$1
	shift
	for _ in 1 2 3; do
		port=$(free_port)
		mkdir -p "$folder/$server_name"
		server_launch "$@" && return 0
		kill "$(server_pid "$server_name")" 2>/dev/null || :
	done
	tail -n 20 "$folder/$server_name.log" >&2
	fail "the server $server_name has not come up"
}

server_launch() {
	case " $* " in
	*' --tls-port '*) plain_port=0 ;;
	*) plain_port=$port ;;
	esac
	settings=
	for setting in "$@"; do
		[ "$setting" != PORT ] || setting=$port
		settings="$settings '$setting'"
	done
	eval "set -- $settings"
	: >"$folder/$server_name.log"
	"$server_program" --port "$plain_port" --bind 127.0.0.1 --dir "$folder/$server_name" --save '' "$@" \
		>>"$folder/$server_name.log" 2>&1 </dev/null &
	echo $! >"$folder/$server_name.pid"
	deadline=$(($(date +%s) + 30))
	until grep -q 'Ready to accept connections' "$folder/$server_name.log"; do
		kill -0 "$(server_pid "$server_name")" 2>/dev/null && [ "$(date +%s)" -lt "$deadline" ] || return 1
		sleep 0.02
	done
}

# ask PORT COMMAND... - by the server's own client.
ask() {
	ask_port=$1
	shift
	"$client_program" -p "$ask_port" "$@"
}
