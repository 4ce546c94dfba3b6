#!/bin/sh
# `ferry pub` shows on a terminal how far it is, and nowhere else.
#
#     progress.sh FERRY
set -eu

ferry=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Lines until something is shown, 30 s at most.
cat >"$folder/feed" <<END
tries=0
while [ \$tries -lt 300 ] && ! grep -q 'lines' "$folder/shown"; do
	echo x
	sleep 0.1
	tries=\$((tries + 1))
done
END
: >"$folder/shown"
script -qefc "sh '$folder/feed' | '$ferry' pub memory: t" "$folder/shown" >/dev/null </dev/null
grep -q 'ferry: pub: [0-9]* lines, [0-9]* confirmed, 0 failed' "$folder/shown"
grep -q 'ferry: pub: [0-9]* confirmed.$' "$folder/shown" # a terminal's lines end with a CR

# The same without a terminal, for as long.
lines=$(sed -n 's/.*pub: \([0-9]*\) confirmed.$/\1/p' "$folder/shown")
i=0
while [ "$i" -lt "$lines" ]; do
	echo x
	sleep 0.1
	i=$((i + 1))
done | "$ferry" pub memory: t 2>"$folder/told"
echo "ferry: pub: $lines confirmed" | cmp - "$folder/told"
