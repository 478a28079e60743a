# SPDX-License-Identifier: MIT
# Paths with blanks, quotes, dollars, newlines and other scripts are paths like any other.
pipeline <<'END'
step a {
    in  list = glob("in/*")
    out o = "out dir/a 'b' \"c\" $d é.txt"
    out d = "tree of $HOME/"
    run """
        for f in {{list}}; do cat "$f"; done > {{o}}
        cp {{list}} {{d}}/
        cp {{o}} "{{d}}/copy of {{basename(o)}}"
    """
}
step b {
    in  a.o
    in  all = a
    out o = "-dash"
    run "cat {{a.o}} > ./{{o}}; ls -1 {{a.d}} | wc -l >> ./{{o}}"
}
END
mkdir in
echo 1 >"in/one two"
echo 2 >"in/it's \"quoted\" \$HOME"
printf '3\n' >"in/new
line"
build
expect ran=2
build
expect up_to_date=2
rm -r ./-dash "out dir" tree*
build
expect restored=2
same "$(tail -1 ./-dash | tr -d ' ')" 5
pawl graph --format json
python3 -c 'import json,sys; json.load(open(sys.argv[1]))' "$T/out" || fail "graph"
