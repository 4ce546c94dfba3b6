#!/bin/sh
# exports_test.sh PLUGIN - the plugin exports its entry, and nothing of what is linked into it.
set -eu
exported=$(nm -D --defined-only "$1" | awk '{ print $NF }')
[ "$exported" = ferry_transport_entry ] || {
	echo "$1 exports $exported" >&2
	exit 1
}
