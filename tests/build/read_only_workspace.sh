# SPDX-License-Identifier: MIT
# A workspace that cannot be written: asking works, building ends with 3.
[ "$(id -u)" = 0 ] || skip "needs to mount"
mkdir "$T/ro"
mount -t tmpfs tmpfs "$T/ro" 2>/dev/null || skip "cannot mount"
trap 'umount "$T/ro"' EXIT
printf 'step a { out "o" run "touch o" }\n' >"$T/ro/Pipelinefile"
mount -o remount,ro "$T/ro"
exits 3 build -C "$T/ro"
told status -C "$T/ro"
expect would_run=1
