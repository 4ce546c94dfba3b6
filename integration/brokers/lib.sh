# lib.sh - what the scripts of this folder share: services, their ports, and their processes.
#
# A service is a folder $state/NAME:
#
#	ports           one "KEY=PORT" a line, chosen at the first up, kept until down
#	PROCESS.pid     "PID START": the pid, and when it was started, by which a pid that the
#	                system has given to somebody else is told from ours
#	PROCESS.log     what the process wrote, kept after down
#	and what the server itself keeps
#
# Whoever changes a service holds the lock on $state/NAME.lock.
# shellcheck shell=sh

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
state=${FERRY_BROKERS_DIR:-$root/build/brokers}
case $state in
/*) ;;
*) state=$PWD/$state ;;
esac

fail() {
	echo "brokers: $1" >&2
	exit 1
}

# Services and their kinds, from the table that the compose file agrees with.
services() {
	awk '!/^#/ && NF { print $1 }' "$here/table.txt"
}

# choose NAME - make NAME the service that all below is about, and hold its lock until the script ends.
choose() {
	services | grep -qx -- "$1" || fail "there is no service '$1': only $(services | tr '\n' ' ')"
	service=$1
	folder=$state/$1
	kind=${1%%-*}
	kind=${kind%39}
	mkdir -p "$state"
	exec 9>"$state/$1.lock"
	flock -w 300 9 || fail "another run holds $state/$1.lock for 5 minutes already"
	# shellcheck source=/dev/null
	. "$here/tls.sh"
	# shellcheck source=/dev/null
	. "$here/$kind.sh"
}

# ---- ports ----

# Not from the range of outgoing connections: while a server is stopped, one of those could get its port.
free_port() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		number=$(($(od -An -N2 -tu2 /dev/urandom) % 20000 + 10000))
		cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
			grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$number") " && continue
		grep -qs "=$number\$" "$state"/*/ports && continue
		echo "$number"
		return 0
	done
	fail "no free port was found"
}

# choose_ports KEY... - one for each.
choose_ports() {
	: >"$folder/ports"
	for key in "$@"; do
		echo "$key=$(free_port)" >>"$folder/ports"
	done
}

port() {
	sed -n "s/^$1=//p" "$folder/ports"
}

# ---- processes ----

# start_time PID - when the process was started, in ticks; nothing when it is gone or only not yet buried.
start_time() {
	sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" && $1 != "X" { print $20 }'
}

# alive PROCESS - whether it runs; sets pid.
alive() {
	pid=
	[ -f "$folder/$1.pid" ] || return 1
	read -r pid started <"$folder/$1.pid" || return 1
	[ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ]
}

# launch PROCESS COMMAND... - start it in the service's folder, in a session of its own.
launch() {
	name=$1
	shift
	touch "$folder/$name.log"
	log_begin=$(($(wc -c <"$folder/$name.log") + 1))
	cd "$folder" || return 1
	setsid "$@" >>"$name.log" 2>&1 </dev/null 9>&- &
	echo "$! $(start_time $!)" >"$name.pid"
}

# said TEXT - whether the process launched last has written a line with the pattern since.
said() {
	tail -c "+$log_begin" "$folder/$name.log" | grep -q -- "$1"
}

# await SECONDS COMMAND... - until it succeeds, or the process launched last has died.
await() {
	deadline=$(($(date +%s) + $1))
	shift
	until "$@"; do
		alive "$name" || return 1
		[ "$(date +%s)" -lt "$deadline" ] || return 1
		sleep 0.05
	done
}

# not_up - say so, with the end of the log.
not_up() {
	tail -c "+$log_begin" "$folder/$name.log" | tail -n 20 >&2
	echo "brokers: $service: $name did not come up; its log is $folder/$name.log" >&2
}

# finish PROCESS SIGNAL - end it and wait until it is gone; one that does not heed the signal is killed.
finish() {
	alive "$1" || {
		rm -f "$folder/$1.pid"
		return 0
	}
	kill "-$2" "$pid"
	deadline=$(($(date +%s) + 60))
	while alive "$1"; do
		[ "$(date +%s)" -lt "$deadline" ] || kill -KILL "$pid" 2>/dev/null || :
		sleep 0.02
	done
	rm -f "$folder/$1.pid"
}

# ---- services ----

# every_process - the service's servers, and for each that clients reach through a proxy its NODE-link.
every_process() {
	"${kind}_nodes" | tr ' ' '\n'
	"${kind}_links" | tr ' ' '\n' | sed 's/$/-link/'
}

# all_alive - whether every process of the service runs.
all_alive() {
	for process in $(every_process); do
		alive "$process" || return 1
	done
}

# build_proxy - compile it when its sources are newer.
build_proxy() {
	proxy=$state/proxy
	[ ! -x "$proxy" ] || [ -n "$(find "$root"/integration/proxy*.[ch] -newer "$proxy")" ] || return 0
	"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -o "$proxy.$$" "$root/integration/proxy.c" \
		"$root/integration/proxy_link.c" "$root/integration/proxy_flow.c" || fail "the proxy cannot be built"
	mv "$proxy.$$" "$proxy"
}

start_links() {
	for node in $("${kind}_links"); do
		alive "$node-link" && continue
		build_proxy
		launch "$node-link" "$proxy" "$(port "$node-link")" "$(port "$node")" "$node-link.sock"
		await 30 said 'listening on' || return 1
	done
}

# tell_links COMMAND... - what proxy.c knows.
tell_links() {
	for node in $("${kind}_links"); do
		# A relative name, for the name of a socket must be short.
		(cd "$folder" && "$state/proxy" --send "$node-link.sock" "$@") ||
			fail "$service: the proxy before $node has not done it"
	done
}

# start_nodes NODE... - those that do not run yet, and the proxies.
start_nodes() {
	start_links || return 1
	for node in "$@"; do
		alive "$node" || "${kind}_start" "$node" || return 1
	done
	"${kind}_settled"
}

# quote TEXT - as a word for the shell.
quote() {
	case $1 in
	*[!A-Za-z0-9_./:=-]* | '') printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")" ;;
	*) printf %s "$1" ;;
	esac
}

# say NAME VALUE - a line of env.
say() {
	printf "export FERRY_TEST_%s=%s\n" "$1" "$(quote "$2")"
}

# what the service's variables begin with: REDIS, REDIS_TLS
prefix() {
	echo "$service" | tr 'a-z-' 'A-Z_'
}
