# SPDX-License-Identifier: MIT
# 0 up to date, 1 a step failed, 2 wrong, 3 the workspace cannot be used.
pipeline <<'END'
step good {
    out o = "good"
    run "touch good"
}
step bad {
    out o = "bad"
    run "exit 9"
}
END
build good
exits 1 build
exits 0 pawl status
exits 0 told build -n
exits 0 pawl explain bad
exits 2 pawl explain
exits 2 pawl build nothing
exits 2 pawl nothing
exits 2 pawl --nothing
exits 2 pawl build -j 0
exits 2 pawl build -j
exits 2 pawl build --progress=loud
exits 2 pawl -C /nowhere/at/all
exits 2 pawl -f nowhere.pipeline
exits 0 pawl --version
exits 0 pawl --help
for command in build status explain list graph log runs stats diff metrics restore clean cache check fmt init; do
    exits 0 pawl $command --help
    says "*pawl $command*"
done
pipeline wrong.pipeline <<'END'
step x {
    in "nowhere.csv"
    out "y"
    run "touch marker"
}
END
exits 2 build -f wrong.pipeline
complains '*wrong.pipeline:2:8: error:*nowhere.csv*'
absent marker
pipeline syntax.pipeline <<'END'
step good2 { out "z" run "touch z" }
step { }
END
exits 2 build -f syntax.pipeline
complains 'syntax.pipeline:2:6: error:*'
absent z
mkdir elsewhere
exits 2 pawl -C elsewhere -f x
rm -rf .pawl
echo file >.pawl
exits 3 build good
rm .pawl
mkdir empty
cd empty
mv ../Pipelinefile ..//P
exits 2 build
complains '*Pipelinefile*'
