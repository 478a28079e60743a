# SPDX-License-Identifier: MIT
# What ran under `cache off` was not stored: without the line the step runs once more, and then no more.
pipeline <<'END'
step a { out o = "o" run "echo a > {{o}}" cache off }
END
build
expect ran=1
build
expect ran=1
pipeline <<'END'
step a { out o = "o" run "echo a > {{o}}" }
END
build
expect ran=1
build
expect up_to_date=1
