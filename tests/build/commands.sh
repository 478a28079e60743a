# SPDX-License-Identifier: MIT
# What a command is given: a shell, a script of its own, words, a folder, parameters, nothing to read.
pipeline <<'END'
param name = "it's a \"name\""
param n = 3
param list = [1, 2]
step words {
    out o = "words"
    run ["sh", "-c", "printf '%s\n' \"$@\" > words", "sh", name, list, "a b"]
}
step bash_script {
    out o = "bash"
    run """
        #!/bin/bash -euo pipefail
        x=(one two)
        echo "${x[1]} {{name}}" > {{o}}
        false | true && echo not reached >> {{o}} || echo pipefail >> {{o}}
    """
}
step python {
    out o = "python"
    run '''
        #!/usr/bin/env python3
        import os, sys, json
        print(json.loads(os.environ["PAWL_PARAMS"])["n"] + 1, file=open("python", "w"))
    '''
    param n, name
}
step elsewhere {
    cwd "sub/folder"
    in  i = "sub/data"
    out o = "sub/folder/out"
    run "pwd > {{o}}; cat {{i}} >> {{o}}; echo {{i}} {{o}} >> {{o}}"
}
step reads_nothing {
    out o = "nothing"
    run "cat > {{o}}; echo $? >> {{o}}"
}
step fails_early {
    out o = "early"
    run """
        echo 1 > {{o}}
        test -e nothing-of-that-name || true
        echo "{{name}}" {{name}} '{{name}}' >> {{o}}
        cat >> {{o}} <<END_OF_IT
        {{name}} $((1 + 1))
        END_OF_IT
    """
}
END
sed -i 's/{{o}} <<END_OF_IT/{{o}} <<END_OF_IT/' Pipelinefile
mkdir -p sub/folder
echo data >sub/data
echo typed | "$PAWL" build --json >"$T/events" 2>"$T/errors" || fail "a build failed"
cat "$T/events"
expect ran=6
holds words "it's a \"name\"
1
2
a b"
holds bash "two it's a \"name\"
pipefail"
holds python 4
holds sub/folder/out "$PWD/sub/folder
data
../data out"
holds nothing 0
holds early "1
it's a \"name\" it's a \"name\" it's a \"name\"
it's a \"name\" 2"
build
expect up_to_date=6
build -p n=4
expect ran=1 up_to_date=5
holds python 5
