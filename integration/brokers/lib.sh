# lib.sh - what the scripts of this folder share: services, their ports, and their processes.
#
# A service (nats-cluster) has nodes (1 2 3), each a server; table.txt lists them. For a node that clients
# reach through a proxy there is also the process NODE-link. The service's folder $state/SERVICE has
#
#	ports           one "KEY=PORT" a line, chosen at the first up, kept until down
#	made            since the first up has succeeded
#	docker          if its servers run in containers
#	PROCESS.pid     "PID START": the pid, and when it was started, by which a pid that the
#	                system has given to somebody else is told from ours
#	PROCESS.log     what the process wrote, kept after down
#	PROCESS.begin   where in it the last start's lines begin
#	NODE.conf       the server's settings, and whatever else the server itself keeps
#
# Whoever changes a service holds the lock on $state/SERVICE.lock.
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

# rows WANTED - the table's rows whose service is WANTED, or all with none.
rows() {
	awk -v wanted="${1:-}" '!/^#/ && NF && (wanted == "" || $1 == wanted)' "$here/table.txt"
}

services() {
	rows | awk '!seen[$1]++ { print $1 }'
}

# choose SERVICE - what all below is about; holds its lock until the script, or its subshell, ends.
choose() {
	[ -n "$(rows "$1")" ] || fail "there is no service '$1': only $(services | xargs)"
	service=$1
	folder=$state/$1
	# kafka39-sasl is of the kind kafka
	kind=${1%%-*}
	kind=${kind%39}
	nodes=$(rows "$1" | awk '{ print $2 }')
	linked=$(rows "$1" | awk '$3 == "yes" { print $2 }')
	processes="$nodes $(echo "$linked" | sed 's/$/-link/')"
	mkdir -p "$state"
	exec 9>"$state/$1.lock"
	flock -w 300 9 || fail "another run holds $state/$1.lock for 5 minutes already"
	# shellcheck source=/dev/null
	. "$here/$kind.sh"
}

# ---- ports ----

# Not from the range of outgoing connections: while a server is stopped, one of those could get its port. Nor
# from 20000 on, where tests start servers of their own.
free_port() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		number=$(($(od -An -N2 -tu2 /dev/urandom) % 10000 + 10000))
		cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
			grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$number") " && continue
		grep -qs "=$number\$" "$state"/*/ports && continue
		echo "$number"
		return 0
	done
	fail "no free port was found"
}

# choose_ports - NODE for the server, NODE-link for its proxy, and NODE-NAME for what the table names.
choose_ports() {
	: >"$folder/ports"
	rows "$service" | awk '{
		print $2
		if ($3 == "yes") print $2 "-link"
		for (i = 5; i <= NF; i++) print $2 "-" $i
	}' | while read -r key; do
		number=$(free_port) || exit 1
		echo "$key=$number" >>"$folder/ports"
	done
}

port() {
	sed -n "s/^$1=//p" "$folder/ports"
}

# addresses KEY... - 127.0.0.1:PORT of each, with commas.
addresses() {
	list=
	for key in "$@"; do
		list="$list,127.0.0.1:$(port "$key")"
	done
	echo "${list#,}"
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

all_alive() {
	for process in $processes; do
		alive "$process" || return 1
	done
}

# most_alive - whether more than half of the nodes run, so that they can agree.
most_alive() {
	balance=0
	for node in $nodes; do
		if alive "$node"; then balance=$((balance + 1)); else balance=$((balance - 1)); fi
	done
	[ "$balance" -gt 0 ]
}

# launch PROCESS COMMAND... - start it in the service's folder, in a session of its own; it does not get the
# locks, ours (9) and that of ./dev integration (8).
launch() {
	launched=$1
	awaited=$1
	shift
	touch "$folder/$launched.log"
	echo $(($(wc -c <"$folder/$launched.log") + 1)) >"$folder/$launched.begin"
	cd "$folder" || return 1
	setsid "$@" >>"$launched.log" 2>&1 </dev/null 8>&- 9>&- &
	echo "$! $(start_time $!)" >"$launched.pid"
}

# log_of PROCESS - what it has written since its last start.
log_of() {
	tail -c "+$(cat "$folder/$1.begin")" "$folder/$1.log"
}

# said PROCESS PATTERN - whether a line with it is among that.
said() {
	log_of "$1" | grep -q -- "$2"
}

# await SECONDS PROCESS COMMAND... - until the command succeeds; not when the process has died, or too late.
await() {
	awaited=$2
	deadline=$(($(date +%s) + $1))
	shift 2
	until "$@"; do
		alive "$awaited" && [ "$(date +%s)" -lt "$deadline" ] || return 1
		sleep 0.05
	done
}

# not_up - say which process it was that `await` has given up, with the end of its log.
not_up() {
	log_of "$awaited" | tail -n 20 >&2
	echo "brokers: $service: $awaited did not come up; its log is $folder/$awaited.log" >&2
}

# send SIGNAL PROCESS - while it is alive. What docker-compose is told it passes on to the container, but it
# cannot pass on SIGKILL.
send() {
	if in_docker && [ "$1" = KILL ] && echo "$nodes" | grep -qx -- "$2"; then
		compose kill "$service.$2"
	else
		kill "-$1" "$pid"
	fi
}

# finish SIGNAL PROCESS... - end them and wait until they are gone; after a minute without mercy.
finish() {
	signal=$1
	shift
	for process in "$@"; do
		! alive "$process" || send "$signal" "$process"
	done
	deadline=$(($(date +%s) + 60))
	for process in "$@"; do
		while alive "$process"; do
			[ "$(date +%s)" -lt "$deadline" ] || send KILL "$process" 2>/dev/null || :
			sleep 0.02
		done
		rm -f "$folder/$process.pid"
	done
}

# ---- servers, as our own processes or in containers ----

in_docker() {
	[ -f "$folder/docker" ]
}

# compose ARGUMENT... - docker-compose with our file, and what the file asks for.
compose() {
	set_compose
	# One word or two.
	# shellcheck disable=SC2086
	$compose_program -f "$root/docker-compose.yml" -p "$compose_project" "$@"
}

set_compose() {
	if docker compose version >/dev/null 2>&1; then
		compose_program="docker compose"
	else
		compose_program=docker-compose
	fi
	# Another checkout's containers are not ours.
	compose_project=ferry-$(printf %s "$state" | cksum | cut -d ' ' -f 1)
	export FERRY_BROKERS_DIR="$state"
	FERRY_USER=$(id -u):$(id -g)
	export FERRY_USER
	while IFS='=' read -r key number; do
		export "FERRY_$(echo "${service}_$key" | tr 'a-z-' 'A-Z_')_PORT=$number"
	done <"$folder/ports"
}

# serve NODE COMMAND... - start a node by the command, or its container, which has a command of its own.
# docker-compose in the foreground is our process there: its output is the server's, and they end together.
serve() {
	if in_docker; then
		set_compose
		# shellcheck disable=SC2086
		launch "$1" $compose_program -f "$root/docker-compose.yml" -p "$compose_project" \
			up --no-color "$service.$1"
	else
		launch "$@"
	fi
}

# ---- links ----

# build_proxy - compile it when its sources are newer.
build_proxy() {
	proxy=$state/proxy
	[ ! -x "$proxy" ] || [ -n "$(find "$root"/integration/proxy*.[ch] -newer "$proxy")" ] || return 0
	"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -o "$proxy.$service" "$root/integration/proxy.c" \
		"$root/integration/proxy_link.c" "$root/integration/proxy_flow.c" || fail "the proxy cannot be built"
	mv "$proxy.$service" "$proxy"
}

start_links() {
	for node in $linked; do
		alive "$node-link" && continue
		build_proxy
		launch "$node-link" "$proxy" "$(port "$node-link")" "$(port "$node")" "$node-link.sock"
		await 30 "$node-link" said "$node-link" 'listening on' || return 1
	done
}

# tell_links COMMAND... - what proxy.c knows.
tell_links() {
	for node in $linked; do
		# A relative name, for the name of a socket must be short.
		(cd "$folder" && "$state/proxy" --send "$node-link.sock" "$@") ||
			fail "$service: the proxy before $node has not done it"
	done
}

# ---- services ----

# Each kind's file has KIND_configure (write the settings of all nodes), KIND_start NODE, KIND_settled (wait
# until what runs is of use to clients) and KIND_env (print variables).

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

# say NAME VALUE - a line of env: FERRY_TEST_, the service (REDIS_TLS), and NAME.
say() {
	printf 'export FERRY_TEST_%s_%s=%s\n' "$(echo "$service" | tr 'a-z-' 'A-Z_')" "$1" "$(quote "$2")"
}
