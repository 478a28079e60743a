#!/bin/sh
# SPDX-License-Identifier: MIT
# a step that fails: its command, its log, and where the log lies
cat >Pipelinefile <<'END'
step bad {
    "Goes wrong."
    in  "src"
    out o = "o"
    run """
        echo some output
        echo an error >&2
        exit 7
    """
}
step later {
    in bad.o
    out "p"
    run "cp o p"
}
step gate {
    when 1 < 2
    fail "not on a Sunday, {{upper("please")}}"
}
step lacks {
    secret NEEDED_KEY
    out "q"
    run "echo $NEEDED_KEY > q"
}
step forgets {
    out "r", s = "s"
    run "touch r"
}
END
echo x >src
pawl -k 0 later
pawl forgets
pawl lacks
echo "exit $?"
pawl gate
echo "exit $?"
pawl -q bad
echo "exit $?"
pawl status later
pawl log bad
