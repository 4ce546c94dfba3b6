#!/bin/sh
# compile.sh INCLUDE FLAG... - with each C compiler there is: refused.c compiles without a warning, also in other
# versions of C, and with each of its mistakes defined it does not, and the compiler names what is wrong.  FLAGs are
# those that ferry::ferry brings.  The declarations also compile as C++17.
set -u
include=$1
shift
here=$(dirname "$0")
output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
tried=0

complain() {
	echo "$1"
	cat "$output"
	status=1
}

# The mistakes and what is said about them: "NAME words".
mistakes=$(sed -n 's|^#ifdef \([A-Z_]*\) /\* \(.*\) \*/$|\1 \2|p' "$here/refused.c")

for cc in ${CC:-cc} gcc clang; do
	command -v "$cc" >/dev/null || continue
	for version in c11 c17 gnu11 c2x; do
		"$cc" -std=$version -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
			-Wcast-function-type -Werror "-I$include" -fsyntax-only "$here/refused.c" "$@" >"$output" 2>&1 ||
			complain "$cc -std=$version warns:"
	done
	while read -r name words; do
		tried=$((tried + 1))
		if "$cc" -std=c11 "-I$include" -fsyntax-only "-D$name" "$here/refused.c" "$@" >"$output" 2>&1; then
			complain "$cc compiles $name"
		elif ! grep -qE -- "error: .*($words)" "$output"; then
			complain "$cc says nothing of '$words' for $name:"
		fi
	done <<END
$mistakes
END
done

for cxx in ${CXX:-c++} g++ clang++; do
	command -v "$cxx" >/dev/null || continue
	"$cxx" -std=c++17 -Wall -Wextra -Wpedantic -Wconversion -Wold-style-cast -Werror "-I$include" -fsyntax-only \
		"$here/declare.cpp" >"$output" 2>&1 || complain "$cxx does not compile the declarations:"
	tried=$((tried + 1))
done

echo "$tried compilations"
[ "$tried" -ge 15 ] || status=1
exit "$status"
