#!/bin/sh
# on_server.sh PROGRAM [ARGUMENT...] - start a Redis server of its own, and run the program with its URL as
# the last argument
#
# FERRY_TEST_REDIS_SERVER names another server program than redis-server.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

server_start main --appendonly yes
"$@" "redis://127.0.0.1:$port"
