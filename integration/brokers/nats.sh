# nats.sh - NATS with JetStream: one server, one behind TLS and passwords, or three.
#
# FERRY_TEST_NATS_SERVER names another server program than nats-server. Behind TLS, the node wronghost has a
# certificate for another host; the users are those of nats.users.
# shellcheck shell=sh disable=SC2154

# What clients of a cluster are told are the proxies' ports, or they would go round them.
nats_routes() {
	cat <<END
client_advertise: "127.0.0.1:$(port "$1-link")"
cluster {
  name: ferry
  listen: "127.0.0.1:$(port "$1-route")"
  routes: [
END
	for other in $nodes; do
		echo "    nats-route://127.0.0.1:$(port "$other-route")"
	done
	printf '  ]\n}\n'
}

nats_tls() {
	cat <<END
tls {
  cert_file: "$folder/tls/$1.crt"
  key_file: "$folder/tls/$1.key"
  ca_file: "$folder/tls/ca.crt"
  timeout: 10
}
include ./nats.users
END
}

nats_configure() {
	cp "$here/nats.users" "$folder"
	for node in $nodes; do
		{
			cat <<END
server_name: "$node"
listen: "127.0.0.1:$(port "$node")"
http: "127.0.0.1:$(port "$node-http")"
jetstream {
  store_dir: "$folder/$node"
  max_memory_store: 256M
  max_file_store: 4G
}
END
			case $service in
			nats-cluster) nats_routes "$node" ;;
			nats-tls) nats_tls "$node" ;;
			esac
		} >"$folder/$node.conf"
	done
}

nats_start() {
	serve "$1" "${FERRY_TEST_NATS_SERVER:-nats-server}" -c "$folder/$1.conf"
	await 30 "$1" said "$1" 'Server is ready'
}

# Those that agree on a leader write its name.
nats_agrees() {
	said "$1" 'JetStream cluster new metadata leader\|Self is new JetStream cluster metadata leader'
}

nats_settled() {
	if [ "$service" = nats-cluster ] && most_alive; then
		for node in $nodes; do
			! alive "$node" || await 60 "$node" nats_agrees "$node" || return 1
		done
	fi
}

nats_env() {
	if [ "$service" = nats-tls ]; then
		query="ca_file=$folder/tls/ca.crt"
		say URL "tls://app:app-secret@localhost:$(port server-link)?$query"
		say WRONG_HOST_URL "tls://app:app-secret@localhost:$(port wronghost)?$query"
		say FOLDER "$folder/tls"
		return
	fi
	# shellcheck disable=SC2086,SC2046
	say URL "nats://$(addresses $(echo "$linked" | sed 's/$/-link/'))"
	# shellcheck disable=SC2086
	say DIRECT_URL "nats://$(addresses $nodes)"
}
