# SPDX-License-Identifier: MIT
# A fan-out becomes known while another step runs, and that one keeps its place; a condition may ask for a probe.
pipeline <<'END'
probe libs = "echo x"
step split { out d = "out/d/" run "for i in 1 2 3; do echo $i > {{d}}/$i.txt; done" }
step slow { out o = "out/slow" run "sleep 0.5; echo > {{o}}" }
step work for f in split.d { in f = f out o = "out/w/{{stem(f)}}" run "cp {{f}} {{o}}" when libs == "x" }
step sum { in w = work[*].o out o = "out/sum" run "cat {{w}} > {{o}}" }
END
build -j4
expect ran=6
build
expect up_to_date=6
