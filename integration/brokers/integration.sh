# integration.sh - ./dev integration: the tests that need real servers. A part of dev, with its functions.
# shellcheck shell=sh disable=SC2154

# servers_of TRANSPORT... - what the tests of those transports use that there are.
servers_of() {
	for transport in "$@"; do
		[ -d "transports/$transport" ] || continue
		case $transport in
		redis) echo redis redis-tls redis-replica ;;
		nats) echo nats nats-tls ;;
		kafka) echo kafka kafka-sasl ;;
		esac
	done
}

servers_down() {
	integration/brokers/brokers down
}

# servers_up NAME... - with no data of a run before, nor other servers beside them.
servers_up() {
	servers_down && integration/brokers/brokers up "$@"
}

# with_servers COMMAND... - tell it where those that are up can be found.
with_servers() (
	eval "$(integration/brokers/brokers env)"
	"$@"
)

# in_variables SERVER - how it is called there.
in_variables() {
	echo "$1" | tr 'a-z-' 'A-Z_'
}

# as USUAL SERVER COMMAND... - give another server to the tests that ask for the usual one.
as() {
	eval "export FERRY_TEST_$1_URL=\"\$FERRY_TEST_$2_URL\" FERRY_TEST_$1_CONTROL=\"\$FERRY_TEST_$2_CONTROL\""
	shift 2
	"$@"
}

build_integration() {
	count build "$1" "$1" "-DFERRY_WERROR=${FERRY_WERROR:-ON}" -DFERRY_INTEGRATION=ON
}

# lock FILE - hold it until this dev and what it has started end.
lock() {
	mkdir -p "$(dirname "$1")"
	exec 8>"$1"
	flock -n 8 || fail "another ./dev integration runs in this folder"
}

# try_servers LOG TEXT SERVERS COMMAND... - start the servers, a list of words, and run the command.
try_servers() {
	try_log=$1
	try_text=$2
	# shellcheck disable=SC2086
	step "$try_log-servers" "Starting $3" servers_up $3 || {
		failed=$((failed + 1))
		return
	}
	shift 3
	count step "$try_log" "$try_text" with_servers "$@" || :
}

integration_seeds() {
	FERRY_SEEDS=100
	try_servers integration-seeds "Testing 100 seeds" "$1" tests_of release -L integration -R '^faults_'
}

# Three servers together, and another version, in the place of the usual one.
integration_others() {
	for other in redis-replica nats-cluster kafka-cluster kafka39; do
		usual=${other%%-*}
		usual=${usual%39}
		[ -d "transports/$usual" ] || continue
		try_servers "integration-$other" "Testing $usual with $other" "$other" \
			as "$(in_variables "$usual")" "$(in_variables "$other")" \
			tests_of release -L integration -R "_$usual\$"
	done
}

# The release of Debian, 12 or 13, that this is not.
other_debian() {
	if grep -qs VERSION_CODENAME=bookworm /etc/os-release; then echo trixie; else echo bookworm; fi
}

# debian_folder FOLDER RELEASE - unpack the least of it, from where this machine has its packages from.
debian_folder() {
	[ ! -f "$1/complete" ] || return 0
	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	# $(REPO_URI) is apt's. Without it debootstrap knows a place.
	# shellcheck disable=SC2016,SC2046
	set -- "$1" "$2" $(apt-get indextargets --format '$(REPO_URI)' "Codename: $codename" | head -n 1)
	rm -rf "$1" && debootstrap --variant=minbase "$2" "$1" ${3:+"$3"} && touch "$1/complete"
}

# in_debian FOLDER COMMAND... - run it there, in this checkout, with a build/ of its own. The mounts end with
# the command.
in_debian() {
	debian_root=$1
	shift
	unshare -m sh -euc '
		folder=$1
		checkout=$2
		shift 2
		mount -t proc proc "$folder/proc"
		mount -t tmpfs tmpfs "$folder/dev/shm"
		mkdir -p "$folder$checkout" "$folder.build"
		mount --bind "$checkout" "$folder$checkout"
		mount --bind "$folder.build" "$folder$checkout/build"
		exec chroot "$folder" sh -c "cd \"\$0\" && exec \"\$@\"" "$checkout" "$@"' sh "$debian_root" "$root" "$@"
}

# The other Debian has other versions of servers and libraries, and a compiler that may warn of other things.
integration_debian() {
	debian=$(other_debian)
	debian_root=$root/build/$debian
	if [ "$(id -u)" -ne 0 ]; then
		echo "Debian $debian is not tried: that takes root, to enter a folder with it"
		failed=$((failed + 1))
		return
	fi
	want 'command -v debootstrap' debootstrap
	provide
	export FERRY_WERROR=OFF
	count step debian "Unpacking Debian $debian" debian_folder "$debian_root" "$debian" || return 0
	count step debian-integration "Testing in it" in_debian "$debian_root" ./dev integration release || :
	if [ "$debian" != bookworm ]; then # bookworm has no Valkey
		count step debian-valkey "Testing in it, with Valkey" \
			in_debian "$debian_root" env FERRY_TEST_REDIS_SERVER=valkey-server ./dev integration release || :
	fi
}

# integration_in PRESET - build, start servers for this run alone, test, and take them down again.
integration_in() {
	lock "build/integration/$1.lock"
	# Not the folder of ./dev brokers, whose servers may be in use.
	export FERRY_BROKERS_DIR="$root/build/integration/$1"
	trap servers_down EXIT
	trap 'exit 1' HUP INT TERM
	build_integration "$1" || return 0
	try_servers "integration-$1" "Testing $1 with real servers" "$servers" tests_of "$1" -L integration -j 4
}

integration_stop() {
	for preset_pid in $preset_pids; do
		kill -TERM "-$preset_pid" 2>/dev/null || :
	done
	wait
	exit 1
}

# integration_together PRESET... - each in a dev of its own, at the same time, for tests wait more than they
# compute.
integration_together() {
	built=
	for preset in "$@"; do
		! build_integration "$preset" || built="$built $preset"
	done
	mkdir -p build/logs
	preset_pids=
	trap integration_stop HUP INT TERM
	for preset in $built; do
		setsid ./dev integration "$preset" >"build/logs/integration-of-$preset.log" 2>&1 </dev/null &
		preset_pids="$preset_pids $!"
	done
	echo "Testing$built with real servers, together; the logs are build/logs/integration-of-*.log"
	# shellcheck disable=SC2086
	set -- $preset_pids
	for preset in $built; do
		if count wait "$1"; then echo "$preset: done"; else
			echo "$preset: FAILED"
			cat "build/logs/integration-of-$preset.log"
		fi
		shift
	done
	trap - HUP INT TERM
}

integration() {
	integration_all=
	if [ "${1:-}" = --all ]; then
		integration_all=yes
		shift
	fi
	servers=$(servers_of redis nats kafka | xargs)
	want_compiler
	want_tests
	# shellcheck disable=SC2086
	want_brokers $servers
	want 'command -v docker-compose || docker compose version' docker-compose
	provide
	export FERRY_SEEDS="${FERRY_SEEDS:-5}"
	passed=0
	failed=0
	if [ $# -eq 1 ]; then
		integration_in "$1"
	else
		[ $# -gt 0 ] || set -- release asan-ubsan tsan
		lock build/integration/all.lock
		integration_together "$@"
	fi
	if [ -n "$integration_all" ]; then
		export FERRY_BROKERS_DIR="$root/build/integration/more"
		trap servers_down EXIT
		trap 'exit 1' HUP INT TERM
		if build_integration release; then
			integration_others
			integration_seeds "$servers"
		fi
		integration_debian
	fi
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
}
