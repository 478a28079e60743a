# SPDX-License-Identifier: MIT
# fmt lays out, check checks, init begins.
printf 'step   a{out "o"   run "touch o"}' >Pipelinefile
cp Pipelinefile before
exits 1 pawl fmt --check
cmp Pipelinefile before || fail "--check wrote"
"$PAWL" fmt - <Pipelinefile >laid_out
pawl fmt
cmp Pipelinefile laid_out || fail "- and in place differ"
exits 0 pawl fmt --check
cp Pipelinefile again
pawl fmt
cmp Pipelinefile again
pawl check
build
expect ran=1
printf 'step a { out "o" run }' >broken.pipeline
exits 2 pawl fmt broken.pipeline
complains 'broken.pipeline:1:*error*'
exits 2 pawl fmt --check broken.pipeline
exits 2 pawl check -f broken.pipeline
code=0
"$PAWL" fmt - <broken.pipeline >out 2>err || code=$?
same $code 2
mkdir new
cd new
exits 0 pawl init
present Pipelinefile
exits 2 pawl init
exits 0 pawl check
exits 0 pawl fmt --check
build
cd ..
exits 2 pawl fmt nowhere.pipeline
grep -q "<stdin>:1:22: error" err || fail "what was said: $(cat err)"
