#!/bin/sh
# readme.sh ROOT EXAMPLE - what the README says is so: its example prints what it says, and its links lead somewhere.
set -eu
root=$1
example=$2

said=$(sed -n 's/^It prints `\([^`]*\)`.*/\1/p' "$root/README.md")
[ -n "$said" ] || { echo "README.md does not say what its example prints"; exit 1; }
printed=$("$example")
[ "$printed" = "$said" ] || { echo "README.md says '$said', its example prints '$printed'"; exit 1; }

status=0
for target in $(grep -o '](\([^)]*\))' "$root/README.md" | sed 's/^](//; s/)$//'); do
	[ -e "$root/$target" ] || { echo "README.md links to $target, which is not there"; status=1; }
done
exit $status
