# SPDX-License-Identifier: MIT
# A step without outputs: its recorded success is its result.
pipeline <<'END'
step smoke {
    in  "src"
    run "grep -q good src; echo smoke >> log"
}
step deploy {
    in  smoke
    out o = "deployed"
    run "echo deploy >> log; touch {{o}}"
}
END
echo good >src
build
expect ran=2
build
expect up_to_date=2
rm -rf .pawl
build
# of a success in the cache there is nothing to put in place
expect up_to_date=1 ran=0 restored=0 "$(grep -q '"step":"deploy","result":"up_to_date"' "$T/events" && echo up_to_date=2)"
echo good too >src
build
expect ran=1 up_to_date=1
echo bad >src
exits 1 build
expect failed=1 skipped=1
echo good >src
build
expect_step deploy up_to_date
