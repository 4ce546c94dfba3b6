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

# try_servers LOG TEXT SERVERS COMMAND... - start the servers (a list of words), and run the command with them.
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
	build_integration release || return
	FERRY_SEEDS=100
	try_servers integration-seeds "Testing 100 seeds" "$1" tests_of release -L integration -R '^faults_'
}

# Three servers together, and another version, in the place of the usual one.
integration_others() {
	build_integration release || return
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
	# The names between $( ) are apt's.
	# shellcheck disable=SC2016
	mirror=$(apt-get indextargets --format '$(REPO_URI)' | head -n 1)
	rm -rf "$1" && debootstrap --variant=minbase "$2" "$1" "$mirror" && touch "$1/complete"
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

# The other Debian has other versions of the servers and of the libraries; also of the compiler, which may warn of
# other things.
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
			in_debian "$debian_root" env FERRY_REDIS_SERVER=valkey-server ./dev integration release || :
	fi
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
	mkdir -p build
	exec 8>build/integration.lock
	flock -n 8 || fail "another ./dev integration runs in this folder"
	# Not the folder of ./dev brokers, whose servers may be in use.
	export FERRY_BROKERS_DIR="$root/build/integration" FERRY_SEEDS="${FERRY_SEEDS:-5}"
	trap servers_down EXIT
	trap 'exit 1' HUP INT TERM
	passed=0
	failed=0
	[ $# -gt 0 ] || set -- release asan-ubsan tsan
	for preset in "$@"; do
		! build_integration "$preset" || try_servers "integration-$preset" \
			"Testing $preset with real servers" "$servers" tests_of "$preset" -L integration
	done
	if [ -n "$integration_all" ]; then
		integration_others || :
		integration_seeds "$servers" || :
		integration_debian
	fi
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
}
