# SPDX-License-Identifier: MIT
# What is not there yet is refused before anything runs.
try() {
    cat >Pipelinefile
    exits 2 build
    complains "*not supported*"
    absent marker
}
try <<'END'
step first { out "marker" run "touch marker" }
step x { out "y" make "all" }
END
try <<'END'
step first { out "marker" run "touch marker" }
step x { out "y" trace true run "touch y" }
END
try <<'END'
step first { out "marker" run "touch marker" }
step x { out "y" checkpoint "ckpt" run "touch y" }
END
try <<'END'
executor gpus { kind = "slurm" partition = "gpu" }
step first { out "marker" run "touch marker" }
step x { out "y" on gpus run "touch y" }
END
for command in verify wrap export import; do
    exits 2 pawl $command x
    complains '*not supported*'
done
