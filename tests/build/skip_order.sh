# SPDX-License-Identifier: MIT
# What cannot run is told in the order of the file.
pipeline <<'END'
step a { out a = "a"   run "false" }
step b { in a   out b = "b"   run "true" }
step c { in a.a, b.b   run "true" }
END
exits 1 build -j1
expect failed=1 skipped=2
same "$(grep -o '"step":"[abc]"' "$T/events" | tr -d '\n')" '"step":"a""step":"b""step":"c"'
