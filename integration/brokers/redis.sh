# redis.sh - Redis or Valkey: one server, one behind TLS, or a master with a replica.
#
# FERRY_REDIS_SERVER names another server program than redis-server. The users of redis.acl exist in all;
# only behind TLS has who gives no name no rights.
# shellcheck shell=sh disable=SC2154

# redis-tls has a second server, whose certificate is for another host.
redis_nodes() {
	case $service in
	redis-replica) echo "server replica" ;;
	redis-tls) echo "server wronghost" ;;
	*) echo server ;;
	esac
}

redis_links() {
	echo server
}

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
	[ "$service" != redis-tls ] || tls_make
	redis_users >"$folder/users.acl"
	for node in $(redis_nodes); do
		mkdir -p "$folder/$node"
		{
			redis_listen "$node"
			cat <<END
bind 127.0.0.1
dir "$folder/$node"
aclfile "$folder/users.acl"
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
save ""
repl-diskless-sync-delay 0
END
			[ "$node" != replica ] || echo "replicaof 127.0.0.1 $(port server)"
		} >"$folder/$node.conf"
	done
}

redis_start() {
	launch "$1" "${FERRY_REDIS_SERVER:-redis-server}" "$folder/$1.conf"
	await 30 said 'Ready to accept connections'
}

redis_replicates() {
	redis_program=${FERRY_REDIS_SERVER:-redis-server}
	"${redis_program%-server}-cli" -p "$(port server)" info replication | grep -q state=online
}

redis_settled() {
	[ "$service" != redis-replica ] || ! all_alive || await 30 redis_replicates
}

redis_env() {
	if [ "$service" = redis-tls ]; then
		query="ca_file=$folder/tls/ca.crt"
		say REDIS_TLS_URL "rediss://app:app-secret@localhost:$(port server-link)?$query"
		say REDIS_TLS_WRONG_HOST_URL "rediss://app:app-secret@localhost:$(port wronghost)?$query"
		say REDIS_TLS_FOLDER "$folder/tls"
		return
	fi
	say "$(prefix)_URL" "redis://127.0.0.1:$(port server-link)"
	say "$(prefix)_DIRECT_URL" "redis://127.0.0.1:$(port server)"
	say "$(prefix)_ACL_URL" "redis://app:app-secret@127.0.0.1:$(port server-link)"
}
