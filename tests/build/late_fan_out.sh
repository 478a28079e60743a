# SPDX-License-Identifier: MIT
# A fan-out over a directory output is known only when its producer has run.
pipeline <<'END'
step split {
    in  "src"
    out shards = "shards/"
    run "for i in $(cat src); do echo $i > shards/$i.txt; done; echo split >> log"
}
step count for shard in split.shards {
    out o = "counts/{{stem(shard)}}"
    run "cat {{shard}} {{shard}} > {{o}}; echo {{stem(shard)}} >> log"
}
step sum {
    in  all = count[*].o
    out o = "sum"
    run "cat {{all}} > {{o}}"
}
END
echo a b >src
build -j1
expect ran=4
expect_step 'count[shard=a.txt]' ran
holds sum "a
a
b
b"
build
expect up_to_date=4
# one more: only that and the sum
echo a b c >src
build
expect ran=3 up_to_date=2
expect_step 'count[shard=c.txt]' ran
expect_step 'count[shard=a.txt]' up_to_date
present counts/c
# one less
echo b c >src
build
expect ran=2 up_to_date=2
expect_no_step 'count[shard=a.txt]'
holds sum "b
b
c
c"
# nothing but the cache
pawl clean
absent sum
absent shards
build
expect restored=4
holds sum "b
b
c
c"
rm -rf .pawl shards counts sum
build
expect restored=4
build
expect up_to_date=4
# an instance alone
rm -rf counts sum
build 'count[shard=b.txt]'
present counts/b
absent counts/c
