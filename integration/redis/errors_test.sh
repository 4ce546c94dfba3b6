#!/bin/sh
# errors_test.sh FERRY PLUGIN README - each thing that can be wrong between the program and its server is told
# in one sentence, in time, and without the password.
set -eu
ferry=$1
FERRY_TRANSPORT_PATH=$(dirname "$2")
export FERRY_TRANSPORT_PATH
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# ---- certificates ----

make_authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$1" \
		-addext basicConstraints=critical,CA:TRUE -keyout "$1.key" -out "$1.crt"
}

# make_certificate NAME SUBJECTALTNAME
make_certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$1.key" \
		-out "$1.csr"
	echo "subjectAltName=$2" >"$1.ext"
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" \
		-out "$1.crt"
}

(
	cd "$folder"
	make_authority ca
	make_authority other
	make_certificate server DNS:localhost,IP:127.0.0.1
	make_certificate elsewhere DNS:elsewhere.invalid
) >"$folder/openssl.log" 2>&1 || fail "openssl: $(cat "$folder/openssl.log")"

# tls NAME - the settings of a server with this certificate.
tls() {
	echo "--tls-port PORT --tls-cert-file $folder/$1.crt --tls-key-file $folder/$1.key" \
		"--tls-ca-cert-file $folder/ca.crt"
}

# ---- servers ----

server_start main --appendonly yes
main=$port
server_start guarded --appendonly yes --requirepass secret-word
guarded=$port
# Lists of words.
# shellcheck disable=SC2046
server_start tls --appendonly yes $(tls server) --tls-auth-clients no
tls=$port
# shellcheck disable=SC2046
server_start elsewhere --appendonly yes $(tls elsewhere) --tls-auth-clients no
elsewhere=$port
# shellcheck disable=SC2046
server_start mutual --appendonly yes $(tls server) --tls-auth-clients yes
mutual=$port
server_start cluster --appendonly yes --cluster-enabled yes
cluster=$port
server_start volatile --appendonly no
volatile=$port
server_start evicting --appendonly yes --maxmemory 100mb --maxmemory-policy allkeys-lru
evicting=$port
server_start full --appendonly yes --maxmemory-policy noeviction
full=$port
server_start replica --appendonly yes --replicaof "127.0.0.1 $main"
replica=$port
nobody=$(free_port)

ask "$main" SET 'ferry:{string}' x >"$folder/asked"
ask "$full" XADD 'ferry:{there}' '*' d x >>"$folder/asked"
ask "$full" CONFIG SET maxmemory 1 >>"$folder/asked"

# ---- cases ----

# begin NAME COMMAND... - in the background, for most of them wait.
begin() {
	name=$1
	shift
	names="$names $name"
	(
		status=0
		timeout 60 "$@" <"$folder/line" >"$folder/$name.out" 2>&1 || status=$?
		echo "$status" >"$folder/$name.status"
	) &
	running="$running $!"
}

# ends NAME SAYS [STATUS] - it has failed, and its last word about it is this sentence.
ends() {
	status=$(cat "$folder/$1.status")
	sentence=$(grep -E '^ferry: (pub|sub): ' "$folder/$1.out" | grep -v ': 0 confirmed, \|: stopped after' | tail -n 1)
	problem=
	[ "$status" -eq "${3:-1}" ] || problem="it has ended with $status"
	echo "$sentence" | grep -qF -- "$2" || problem="it does not say '$2'"
	! grep -q 'secret-word\|wrong-word' "$folder/$1.out" || problem="it tells the password"
	[ -z "$problem" ] || {
		echo "$1: $problem:"
		sed 's/^/    /' "$folder/$1.out"
		failed=yes
	} >&2
}

# pub NAME URL [TOPIC]
pub() {
	begin "$1" "$ferry" pub "$2" "${3:-orders}"
}

echo hello >"$folder/line"
names=
running=
failed=
ca="ca_file=$folder/ca.crt"
pub wrong_password "redis://:wrong-word@127.0.0.1:$guarded"
pub unknown_user "redis://stranger:wrong-word@127.0.0.1:$guarded"
pub no_password "redis://127.0.0.1:$guarded"
pub needless_password "redis://:wrong-word@127.0.0.1:$main"
pub plain_to_tls "redis://localhost:$tls"
pub tls_to_plain "rediss://localhost:$main?$ca"
pub no_authority "rediss://localhost:$tls"
pub wrong_authority "rediss://localhost:$tls?ca_file=$folder/other.crt"
pub wrong_host_name "rediss://localhost:$elsewhere?$ca"
pub wrong_tls_name "rediss://localhost:$tls?$ca&tls_name=elsewhere.invalid"
pub wants_certificate "rediss://localhost:$mutual?$ca"
pub right_host_name "rediss://localhost:$tls?$ca"
pub right_address "rediss://127.0.0.1:$tls?$ca"
pub right_tls_name "rediss://localhost:$elsewhere?$ca&tls_name=elsewhere.invalid"
pub cluster "redis://127.0.0.1:$cluster"
pub replica "redis://127.0.0.1:$replica"
pub volatile "redis://127.0.0.1:$volatile"
pub evicting "redis://127.0.0.1:$evicting"
pub evicting_relaxed "redis://127.0.0.1:$evicting?durability=relaxed"
pub full_new "redis://127.0.0.1:$full"
pub full_old "redis://127.0.0.1:$full" there
pub string "redis://127.0.0.1:$main" string
begin string_group "$ferry" sub "redis://127.0.0.1:$main" string --group g --idle-exit 1
pub database "redis://127.0.0.1:$main/999"
pub no_database "redis://127.0.0.1:$main/orders"
pub refused "redis://127.0.0.1:$nobody"
pub unresolvable "redis://nowhere.invalid:$nobody"
pub two_hosts "redis://127.0.0.1:$main,127.0.0.1:$nobody"
pub bad_durability "redis://127.0.0.1:$main?durability=paper"
pub fsync "redis://127.0.0.1:$main?durability=fsync"
pub one_replica "redis://127.0.0.1:$main?durability=replica:1&publish_timeout=10s"
pub two_replicas "redis://127.0.0.1:$main?durability=replica:2&publish_timeout=3s"
# The servers are children, too, and do not end.
# shellcheck disable=SC2086
wait $running

ends wrong_password 'the user or the password is wrong'
ends unknown_user 'the user or the password is wrong'
ends no_password 'the server wants a password'
ends needless_password 'the server has no password for this user'
ends plain_to_tls 'if it expects TLS, write rediss://'
ends tls_to_plain 'write redis://'
ends no_authority 'its certificate is refused'
ends wrong_authority 'its certificate is refused'
ends wrong_host_name 'hostname mismatch'
ends wrong_tls_name 'TLS with elsewhere.invalid: its certificate is refused'
ends wants_certificate 'cert_file'
for good in right_host_name right_address right_tls_name evicting_relaxed one_replica; do
	ends $good '1 confirmed' 0
done
ends cluster 'this is a Redis cluster'
ends replica 'the server is a replica'
ends volatile "set 'appendonly yes' there"
ends evicting 'maxmemory-policy allkeys-lru'
ends full_new "the server's memory is full"
ends full_old "the server's memory is full"
ends string 'holds a string, not a stream'
ends string_group 'holds something else than a stream'
ends database 'no database of this server'
ends no_database 'must be the number of a database'
ends refused 'Connection refused'
# The system says it in several ways.
ends unresolvable "redis://nowhere.invalid:$nobody: "
ends two_hosts 'expected one host'
ends bad_durability 'expected aof, fsync, replica:N or relaxed'
if ask "$main" INFO server | grep -Eq '^redis_version:(6|7\.0)'; then
	ends fsync 'durability=fsync needs Redis 7.2'
else
	ends fsync '1 confirmed' 0
fi
ends two_replicas 'may be stored'
[ -z "$failed" ] || exit 1
echo "$(echo "$names" | wc -w) cases"
