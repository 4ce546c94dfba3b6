# kafka.sh - Apache Kafka without ZooKeeper: one server of either version, three, or one with passwords.
#
# The jars come from Maven Central by ../kafka/pom.xml, once, into build/kafka-VERSION. Each node has a listener
# for clients, whose advertised port is the proxy's, one for the other nodes (internal), and a controller.
# kafka-sasl asks for a password over TLS, and has two listeners more: mutual (a client's certificate) and
# wronghost (as the first, with a certificate for another host).
# shellcheck shell=sh disable=SC2154

case $service in
kafka39*) kafka_version=3.9.2 ;;
*) kafka_version=4.3.1 ;;
esac
kafka_jars=$root/build/kafka-$kafka_version

kafka_fetch() {
	(
		flock 8
		[ ! -f "$kafka_jars/complete" ] || exit 0
		mvn -B -f "$root/integration/kafka/pom.xml" dependency:copy-dependencies \
			"-Dkafka.version=$kafka_version" "-DoutputDirectory=$kafka_jars" >"$kafka_jars.log" 2>&1 8>&- ||
			fail "Kafka's jars have not come; maven's log is $kafka_jars.log"
		touch "$kafka_jars/complete"
	) 8>"$kafka_jars.lock"
}

# kafka_java CLASS ARGUMENT... - run one of Kafka's tools.
kafka_java() {
	java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
		-Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$kafka_jars/*" "$@"
}

# The session is short, so that a killed node is noticed soon, and let in again when it is back.
kafka_common() {
	quorum=
	for other in $nodes; do
		quorum="$quorum,$other@127.0.0.1:$(port "$other-controller")"
	done
	cat <<END
process.roles=broker,controller
node.id=$1
controller.quorum.voters=${quorum#,}
controller.listener.names=CONTROLLER
inter.broker.listener.name=INTERNAL
log.dirs=$folder/$1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=2097152
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
share.coordinator.state.topic.num.partitions=1
END
}

# kafka_copies COPIES IN-SYNC
kafka_copies() {
	cat <<END
default.replication.factor=$1
min.insync.replicas=$2
offsets.topic.replication.factor=$1
transaction.state.log.replication.factor=$1
transaction.state.log.min.isr=$2
share.coordinator.state.topic.replication.factor=$1
share.coordinator.state.topic.min.isr=$2
END
}

# kafka_listeners NODE HOST NAME:PROTOCOL:KEY:ADVERTISED... - KEY and ADVERTISED are a port's name behind the node's
kafka_listeners() {
	this=$1
	host=$2
	shift 2
	listeners=CONTROLLER://127.0.0.1:$(port "$this-controller")
	advertised=
	protocols=CONTROLLER:PLAINTEXT
	for listener in "$@"; do
		IFS=: read -r name protocol key outside <<END
$listener
END
		listeners="$listeners,$name://127.0.0.1:$(port "$this$key")"
		advertised="$advertised,$name://$host:$(port "$this$outside")"
		protocols="$protocols,$name:$protocol"
	done
	echo "listeners=$listeners"
	echo "advertised.listeners=${advertised#,}"
	echo "listener.security.protocol.map=$protocols"
}

kafka_plain() {
	kafka_listeners "$1" 127.0.0.1 CLIENT:PLAINTEXT::-link INTERNAL:PLAINTEXT:-internal:-internal
}

# Who has no password (INTERNAL) may do everything: that is the other nodes, and kafka_rights.
kafka_secured() {
	kafka_listeners "$1" localhost CLIENT:SASL_SSL::-link INTERNAL:PLAINTEXT:-internal:-internal \
		MUTUAL:SSL:-mutual:-mutual WRONGHOST:SASL_SSL:-wronghost:-wronghost
	cat <<END
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
ssl.keystore.type=PEM
ssl.keystore.location=$folder/tls/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=$folder/tls/ca.crt
listener.name.mutual.ssl.client.auth=required
listener.name.wronghost.ssl.keystore.type=PEM
listener.name.wronghost.ssl.keystore.location=$folder/tls/wronghost.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
END
	for listener in client wronghost; do
		name=listener.name.$listener
		kafka_security=org.apache.kafka.common.security
		echo "$name.scram-sha-512.sasl.jaas.config=$kafka_security.scram.ScramLoginModule required;"
		echo "$name.plain.sasl.jaas.config=$kafka_security.plain.PlainLoginModule required" \
			'user_app="app-secret" user_reader="reader-secret";'
	done
}

kafka_settings() {
	kafka_common "$1"
	case $service in
	*-cluster)
		kafka_plain "$1"
		kafka_copies 3 2
		echo num.partitions=3
		;;
	*-sasl)
		kafka_secured "$1"
		kafka_copies 1 1
		;;
	*)
		kafka_plain "$1"
		kafka_copies 1 1
		;;
	esac
}

# The words by which data folders are formatted, which makes users too.
kafka_format() {
	echo "-t MkU3OEVBNTcwNTJENDM2Qg"
	case $service in
	*-sasl)
		echo "--add-scram SCRAM-SHA-512=[name=app,password=app-secret]"
		echo "--add-scram SCRAM-SHA-512=[name=reader,password=reader-secret]"
		;;
	esac
}

kafka_configure() {
	in_docker || kafka_fetch || return 1
	for node in $nodes; do
		kafka_settings "$node" >"$folder/$node.conf"
		kafka_format >"$folder/$node.format"
		rm -rf "${folder:?}/$node"
		mkdir "$folder/$node"
		! in_docker || continue
		# The words are a list.
		# shellcheck disable=SC2046
		(set -f && kafka_java kafka.tools.StorageTool format -c "$folder/$node.conf" $(kafka_format)) \
			>"$folder/format.log" 2>&1 ||
			fail "$service: the data folder of node $node cannot be formatted: $folder/format.log"
	done
}

kafka_start() {
	serve "$1" java -Xms128m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
		-Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
		-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info \
		-Dorg.slf4j.simpleLogger.showDateTime=true \
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS" \
		-cp "$kafka_jars/*" kafka.Kafka "$folder/$1.conf"
}

# kafka_acl ARGUMENT... - the tool for rights, which each version keeps elsewhere.
kafka_acl() {
	if in_docker; then
		compose exec -T "$service.1" /opt/kafka/bin/kafka-acls.sh "$@"
	elif [ "${kafka_version%%.*}" -lt 4 ]; then
		kafka_java kafka.admin.AclCommand "$@"
	else
		kafka_java org.apache.kafka.tools.AclCommand "$@"
	fi
}

# Rights are given once; they are part of the data.
kafka_rights() {
	grep -v '^#' "$here/kafka.acl" | while read -r line; do
		# The line is a list of words.
		# shellcheck disable=SC2086
		(set -f && kafka_acl --bootstrap-server "127.0.0.1:$(port 1-internal)" --add $line) \
			>>"$folder/rights.log" 2>&1 </dev/null || exit 1
	done || fail "$service: the rights cannot be given: $folder/rights.log"
	touch "$folder/rights"
}

kafka_settled() {
	most_alive || return 0
	for node in $nodes; do
		! alive "$node" || await 120 "$node" said "$node" 'Kafka Server started' || return 1
	done
	case $service in
	*-sasl) [ -f "$folder/rights" ] || kafka_rights ;;
	esac
}

kafka_env() {
	# shellcheck disable=SC2086,SC2046
	links=$(addresses $(echo "$linked" | sed 's/$/-link/'))
	case $service in
	*-sasl)
		query="ca_file=$folder/tls/ca.crt"
		say URL "kafka://app:app-secret@localhost:$(port 1-link)?$query"
		say WRONG_HOST_URL "kafka://app:app-secret@localhost:$(port 1-wronghost)?$query"
		say MUTUAL_URL "kafka://localhost:$(port 1-mutual)?$query"
		say FOLDER "$folder/tls"
		;;
	*) say URL "kafka://$links" ;;
	esac
}
