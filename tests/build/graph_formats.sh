# SPDX-License-Identifier: MIT
# The graph as dot, mermaid, json and svg.
pipeline <<'END'
step "a" for x in ["<one> & \"two\"", "three"] {
    "With a text & <signs>."
    in  "src"
    out o = "a-{{len(x)}}"
    run "touch {{o}}"
}
step b {
    in  all = a[*].o
    out o = "b"
    run "touch {{o}}"
}
step c {
    after b
    run "true"
}
END
sed -i 's/step "a"/step a/' Pipelinefile
echo x >src
for format in dot mermaid json svg; do
    pawl graph --format $format
    cp "$T/out" "$T/graph.$format"
done
python3 - "$T" <<'END' || fail "a format is not well-formed"
import json, sys, xml.dom.minidom
g = json.load(open(sys.argv[1] + "/graph.json"))
assert "steps" in g or "nodes" in g, g
xml.dom.minidom.parse(sys.argv[1] + "/graph.svg")
assert open(sys.argv[1] + "/graph.dot").read().startswith("digraph")
END
if command -v dot >/dev/null; then
    dot -Tsvg "$T/graph.dot" -o /dev/null || fail "dot does not read it"
fi
grep -q '^\(graph\|flowchart\) ' "$T/graph.mermaid" || fail "no mermaid"
pawl graph
same "$(head -c 7 "$T/out")" digraph
pawl graph b
exits 2 pawl graph --format png
