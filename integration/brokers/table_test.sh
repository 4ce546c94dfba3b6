#!/bin/sh
# table_test.sh - docker-compose.yml is well-formed and has the servers of table.txt, no more and no less.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
file=$here/../../docker-compose.yml

fail() {
	echo "$1" >&2
	exit 1
}

if docker compose version >/dev/null 2>&1; then
	set -- docker compose
elif command -v docker-compose >/dev/null 2>&1; then
	set -- docker-compose
else
	fail "docker-compose is needed to read docker-compose.yml (Debian's package docker-compose)"
fi

unset FERRY_BROKERS_DIR # ./dev integration sets it
! "$@" -f "$file" config -q 2>/dev/null || fail "docker-compose.yml does not ask for FERRY_BROKERS_DIR"
export FERRY_BROKERS_DIR=/brokers
"$@" -f "$file" config -q || fail "docker-compose.yml is not well-formed"
config=$("$@" -f "$file" config)

# As one row for each service: its name, image, network, and whether it has a health check.
compose=$(printf '%s\n' "$config" | awk '
	function row() { if (name) print name, image, network, health }
	/^[a-z]/ { row(); name = ""; inside = $1 == "services:" }
	inside && /^  [^ ]/ { row(); name = $1; sub(/:$/, "", name); image = network = health = "-" }
	/^    image:/ { image = $2 }
	/^    network_mode:/ { network = $2 }
	/^    healthcheck:/ { health = "checked" }
	END { row() }' | LC_ALL=C sort)
table=$(awk '!/^#/ && NF { print $1 "." $2, $4, "host", "checked" }' "$here/table.txt" | LC_ALL=C sort)
[ -n "$table" ] || fail "table.txt is empty"
if [ "$compose" != "$table" ]; then
	printf 'docker-compose.yml has\n\n%s\n\nbut table.txt asks for\n\n%s\n' "$compose" "$table" >&2
	exit 1
fi

# Every port by which a health check finds its server is one that the table gives to that node.
ports=$(awk '!/^#/ && NF {
	node = toupper($1 "_" $2)
	gsub("-", "_", node)
	print "FERRY_" node "_PORT"
	for (i = 5; i <= NF; i++) print "FERRY_" node "_" toupper($i) "_PORT"
}' "$here/table.txt")
used=$(grep -o 'FERRY_[A-Z0-9_]*_PORT' "$file")
for name in $used; do
	echo "$ports" | grep -qx "$name" || fail "docker-compose.yml uses $name, which no server of table.txt has"
done
echo "$(echo "$table" | wc -l) servers agree"
