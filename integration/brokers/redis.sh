# redis.sh - Redis or Valkey: one server, one behind TLS, or a master with a replica.
#
# FERRY_REDIS_SERVER names another server program than redis-server.
# shellcheck shell=sh disable=SC2154

redis_nodes() {
	case $service in
	redis-replica) echo "server replica" ;;
	*) echo server ;;
	esac
}

redis_ports() {
	redis_nodes
}

redis_configure() {
	for node in $(redis_nodes); do
		mkdir -p "$folder/$node"
		cat >"$folder/$node.conf" <<END
bind 127.0.0.1
port $(port "$node")
dir "$folder/$node"
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
save ""
repl-diskless-sync-delay 0
END
	done
	[ "$service" != redis-replica ] || echo "replicaof 127.0.0.1 $(port server)" >>"$folder/replica.conf"
}

redis_start() {
	launch "$1" "${FERRY_REDIS_SERVER:-redis-server}" "$folder/$1.conf"
	await 30 said 'Ready to accept connections' || return 1
	[ "$1" != replica ] ||
		await 30 said 'REPLICA sync: Finished with success\|Successful partial resynchronization'
}

redis_settled() {
	return 0
}

redis_env() {
	say "$(prefix)_URL" "redis://127.0.0.1:$(port server)"
	say "$(prefix)_DIRECT_URL" "redis://127.0.0.1:$(port server)"
}
