# SPDX-License-Identifier: MIT
# The command, cwd, the names and kinds of outputs count.
pipeline <<'END'
step a {
    in  "src"
    out o = "o"
    run "cat src > o"
}
END
echo x >src
build
sed -i 's/cat src/cat  src/' Pipelinefile
build
expect ran=1
expect_step a ran '*command*'
sed -i 's/out o = "o"/out o = "o", p = "p"/; s/> o/> o; touch p/' Pipelinefile
build
expect ran=1
sed -i 's/out o = "o", p = "p"/out other = "o", name = "p"/' Pipelinefile
build
expect up_to_date=1
sed -i '/run/a\    env X = "1"' Pipelinefile
build
expect ran=1
expect_step a ran '*env X*'
sed -i 's/in  "src"/in "src", "more"/' Pipelinefile
touch more
build
expect ran=1
expect_step a ran '*more*'
# a comment, a text, a name: nothing
sed -i 's/^step a {/step b { # why\n    "What for."/' Pipelinefile
build
expect up_to_date=1
# the platform
sed -i 's/^}/    cache { platform = "any" }\n}/' Pipelinefile
build
expect ran=1
