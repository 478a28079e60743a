# SPDX-License-Identifier: MIT
# A step's name and the file it stands in are no part of what it does.
pipeline <<'END'
step train {
    in  "src"
    out "o"
    run "cp src o; echo ran >> log"
}
END
echo x >src
build
sed -i 's/step train/step learn/' Pipelinefile
build
expect up_to_date=1
expect_step learn up_to_date
mv Pipelinefile part.pipeline
pipeline <<'END'
pipeline other_name
include "part.pipeline"
END
build
expect up_to_date=1
pipeline <<'END'
include "part.pipeline" as part
END
build
expect up_to_date=1
expect_step part.learn up_to_date
same "$(lines log)" 1
