#!/bin/sh
# run.sh FOLDER - what a container of docker-compose.yml runs: Kafka by FOLDER.conf, with its data in FOLDER.
set -eu
if [ ! -f "$1/meta.properties" ]; then
	xargs -r /opt/kafka/bin/kafka-storage.sh format -c "$1.conf" <"$1.format"
fi
exec /opt/kafka/bin/kafka-server-start.sh "$1.conf"
