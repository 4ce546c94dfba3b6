# redis.sh - Redis or Valkey: one server, one behind TLS, or a master with a replica.
#
# FERRY_TEST_REDIS_SERVER names another server program than redis-server. The users of redis.acl exist in all; only
# behind TLS has who gives no name no rights. There, the node wronghost has a certificate for another host.
# shellcheck shell=sh disable=SC2154

redis_users() {
	case $service in
	redis-tls) echo "user default off" ;;
	*) echo "user default on nopass ~* &* +@all" ;;
	esac
	cat "$here/redis.acl"
}

# redis_listen NODE
redis_listen() {
	if [ "$service" != redis-tls ]; then
		echo "port $(port "$1")"
		return
	fi
	cat <<END
port 0
tls-port $(port "$1")
tls-cert-file "$folder/tls/$1.crt"
tls-key-file "$folder/tls/$1.key"
tls-ca-cert-file "$folder/tls/ca.crt"
tls-auth-clients optional
END
}

redis_configure() {
	redis_users >"$folder/users.acl"
	for node in $nodes; do
		mkdir -p "$folder/$node"
		{
			redis_listen "$node"
			cat <<END
bind 127.0.0.1
dir "$folder/$node"
aclfile "$folder/users.acl"
appendonly yes
appendfsync always
maxmemory-policy noeviction
save ""
repl-diskless-sync-delay 0
END
			[ "$node" != replica ] || echo "replicaof 127.0.0.1 $(port server)"
		} >"$folder/$node.conf"
	done
}

redis_start() {
	serve "$1" "${FERRY_TEST_REDIS_SERVER:-redis-server}" "$folder/$1.conf"
	await 30 "$1" said "$1" 'Ready to accept connections'
}

redis_replicates() {
	if in_docker; then
		set -- compose exec -T redis-replica.server redis-cli
	else
		set -- "${FERRY_TEST_REDIS_SERVER:-redis-server}"
		set -- "${1%-server}-cli"
	fi
	"$@" -p "$(port server)" info replication | grep -q state=online
}

redis_settled() {
	[ "$service" != redis-replica ] || ! all_alive || await 30 replica redis_replicates
}

redis_env() {
	if [ "$service" = redis-tls ]; then
		query="ca_file=$folder/tls/ca.crt"
		say URL "rediss://app:app-secret@localhost:$(port server-link)?$query"
		say WRONG_HOST_URL "rediss://app:app-secret@localhost:$(port wronghost)?$query"
		say FOLDER "$folder/tls"
		return
	fi
	say URL "redis://127.0.0.1:$(port server-link)"
	say DIRECT_URL "redis://127.0.0.1:$(port server)"
	say ACL_URL "redis://app:app-secret@127.0.0.1:$(port server-link)"
}
