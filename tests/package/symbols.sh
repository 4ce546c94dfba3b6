#!/bin/sh
# symbols.sh SOURCE LIBDIR - what leaves the installed libraries.  libferry exports the functions of
# libferry.symbols, which are those that the public headers declare; every plugin exports its entry alone.
set -eu
source=$1 libdir=$2
list=$source/tests/package/libferry.symbols
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# compare WHAT EXPECTED FOUND
compare() {
	diff -u "$2" "$3" >"$work/diff" && return
	echo "$1 (- is missing, + is not expected):"
	grep '^[-+][^-+]' "$work/diff"
	status=1
}

exported() {
	nm -D --defined-only "$1" | awk '$2 ~ /^[TDBRVWi]$/ { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort
}

# A declaration may span lines: join them, cut at each FERRY_API, take the name before the parenthesis.
cat "$source"/include/ferry/*.h | tr '\n' ' ' | sed 's/FERRY_API /\n&/g' |
	sed -n 's/^FERRY_API [^(;]*[ *]\(ferry_[a-z0-9_]*\)(.*/\1/p' | grep -v '^ferry_transport_entry$' |
	LC_ALL=C sort >"$work/declared"
[ -s "$work/declared" ] || { echo "no declaration found in $source/include/ferry"; exit 1; }
compare "functions of the public headers, against $list" "$list" "$work/declared"

exported "$libdir/libferry.so" >"$work/exported"
compare "symbols of $libdir/libferry.so, against $list" "$list" "$work/exported"

echo ferry_transport_entry >"$work/entry"
plugins=0
for plugin in "$libdir"/ferry/libferry-transport-*.so; do
	exported "$plugin" >"$work/exported"
	compare "symbols of $plugin" "$work/entry" "$work/exported"
	plugins=$((plugins + 1))
done

[ "$status" -ne 0 ] || echo "libferry exports $(wc -l <"$list") functions, each of $plugins plugins its entry"
exit "$status"
