#!/bin/sh
# pkgconfig.sh PREFIX LIBDIR VERSION FOLDER CC - build the consumer by pkg-config alone and run it on memory.
set -eu
prefix=$1 libdir=$2 version=$3 folder=$4 cc=$5
here=$(dirname "$0")

PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig
export PKG_CONFIG_PATH
mkdir -p "$folder"

found=$(pkg-config --modversion ferry)
[ "$found" = "$version" ] || { echo "ferry.pc says version $found, the headers say $version"; exit 1; }

# The compiler, its flags and pkg-config's answer are lists of words.
# shellcheck disable=SC2086,SC2046
$cc -std=c11 -Wall -Wextra -Wpedantic -Werror "$here/consumer/consumer.c" -o "$folder/consumer" \
	$(pkg-config --cflags --libs ferry) "-Wl,-rpath,$prefix/$libdir"

FERRY_TRANSPORT_PATH=$(cd "$(pkg-config --variable=transportdir ferry)" && pwd)
export FERRY_TRANSPORT_PATH
exec "$folder/consumer"
