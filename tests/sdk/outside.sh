#!/bin/sh
# outside.sh SOURCE BUILD TEST: installs the SDK of the build folder BUILD into a temporary folder,
# copies the template plugin out of the tree, builds it there with pkg-config alone, by its Makefile and
# by its meson.build, and has TEST (tests/plugin/test_notes) back up and restore with each.
set -eu
umask 022
source=$1
build=$2
test=$3
work=$(mktemp -d /tmp/orchestrate-test-XXXXXX)
trap 'rm -rf "$work"' EXIT

meson install -C "$build" --no-rebuild --tags devel --destdir "$work/root" >"$work/install.log" 2>&1 || {
    cat "$work/install.log"
    exit 1
}
pc=$(find "$work/root" -name orchestrate-sdk.pc)
test -n "$pc" || { echo "no orchestrate-sdk.pc was installed"; exit 1; }

# Only what was installed may be found.
unset CFLAGS LDFLAGS CPATH C_INCLUDE_PATH LIBRARY_PATH PKG_CONFIG_PATH || true
export PKG_CONFIG_LIBDIR="$(dirname "$pc")"
export PKG_CONFIG_SYSROOT_DIR="$work/root"

cp -R "$source/sdk/template" "$work/made"
make -C "$work/made" >"$work/make.log" 2>&1 || { cat "$work/make.log"; exit 1; }
"$test" "$work/made"

cp -R "$source/sdk/template" "$work/meson"
(cd "$work/meson" && meson setup build && ninja -C build) >"$work/meson.log" 2>&1 || {
    cat "$work/meson.log"
    exit 1
}
"$test" "$work/meson/build"
