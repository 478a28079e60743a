# SPDX-License-Identifier: MIT
# env: set, or taken from the caller; both count. What is not named passes through and does not.
pipeline <<'END'
step a {
    env MODE = "fast"
    env LANGUAGE_OF
    out o = "o"
    run "echo $MODE $LANGUAGE_OF $FREE > {{o}}"
}
step b {
    out o = "b"
    run "echo {{env("WHERE", "nowhere")}} > {{o}}"
}
END
sed -i 's/\\"/"/g' Pipelinefile
LANGUAGE_OF=de FREE=1 build
expect ran=2
holds o "fast de 1"
holds b nowhere
LANGUAGE_OF=de FREE=2 build
expect up_to_date=2
LANGUAGE_OF=fr build
expect ran=1 up_to_date=1
expect_step a ran '*LANGUAGE_OF*'
LANGUAGE_OF=de WHERE=here build
expect restored=1 ran=1
expect_step b ran '*'
holds b here
for refused in 'env API_KEY' 'env DB_PASSWORD = "x"' 'let m = env("MY_SECRET")' 'env GH_TOKEN'; do
    printf 'step x { %s\n run "true {{m}}" }\nlet m = 1\n' "$refused" >refused.pipeline
    exits 2 build -f refused.pipeline
    complains '*secret*'
done
printf 'step x { run "echo {{env("NOT_SET_AT_ALL")}}" }\n' >unset.pipeline
exits 2 build -f unset.pipeline
complains '*NOT_SET_AT_ALL*'
