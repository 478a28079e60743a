# SPDX-License-Identifier: MIT
# The mode of an output is kept and restored; the executable bit of an input counts.
pipeline <<'END'
step tool {
    out o = "tool"
    run "printf '#!/bin/sh\necho 1\n' > tool; chmod 750 tool"
}
step use {
    in  tool.o
    out o = "o"
    run "./tool > o; chmod 444 o"
}
END
build
same "$(stat -c %a tool)" 750
same "$(stat -c %a o)" 444
rm -f tool o
build
expect restored=2
same "$(stat -c %a tool)" 750
same "$(stat -c %a o)" 444
holds o 1
build
expect up_to_date=2
build --rerun use
expect ran=1 up_to_date=1
