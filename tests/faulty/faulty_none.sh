#!/bin/sh
# faulty_none.sh FERRY FAULTY SQLITE FILE - without a fault the durable transport passes, wrapped, what it passes alone.
set -eu
rm -f "$4"*
FAULTY_INNER=$3 "$1" conformance --transport "$2" "faulty:?inner=sqlite:$4"
