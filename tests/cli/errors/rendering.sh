#!/bin/sh
# SPDX-License-Identifier: MIT
# how diagnostics look: file, line, column, the line, a caret, help; several at once
cat >Pipelinefile <<'END'
param depth = 5
step train {
    in  "missing.csv"
    out "model"
    run "train --depth {{dpeth}} --x {{depth - }}"
}
step "oops" { }
END
pawl
echo "exit $?"
cat >Pipelinefile <<'END'
step train {
    in  "missing.csv", other = prep.csv
    out "model"
    run "train --depth {{dpeth}}"
    cache { expire_afer = 30m }
    timeout 5
}
step empty { out "x" }
step two { out "model" run "true" }
END
pawl check
echo "exit $?"
pawl check --json
echo "exit $?"
