#!/bin/sh
# System libraries that fastserve can be built without: installed where that can be done, named where it cannot.
#
#     tools/libraries.sh [CC]
set -u

compiler=${1:-cc}

# HEADER PACKAGE WHAT-IS-MISSING-WITHOUT-IT
libraries="zlib.h zlib1g-dev compression_of_WebSocket_messages
nghttp2/nghttp2.h libnghttp2-dev HTTP/2"

there() {
    printf '#include <%s>\n' "$1" | "$compiler" -E -x c - >/dev/null 2>&1
}

install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    apt-get install -qq -y --no-install-recommends "$1" >/dev/null 2>&1 && return
    apt-get update -qq >/dev/null 2>&1 && apt-get install -qq -y --no-install-recommends "$1" >/dev/null 2>&1
}

echo "$libraries" | while read -r header package missing; do
    there "$header" && continue
    echo "installing $package" >&2
    install "$package" && there "$header" && continue
    echo "fastserve is built without $(echo "$missing" | tr _ ' '): apt install $package" >&2
done
