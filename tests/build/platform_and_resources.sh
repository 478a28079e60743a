# SPDX-License-Identifier: MIT
# instance and count are part of the fingerprint, cpus and memory and a pool are not.
pipeline <<'END'
pool p = 2
step a {
    out o = "o"
    resources { cpus = 1 memory = 1MB instance = "ml.m4.xlarge" count = 1 price = 0.24 }
    run "touch o"
}
END
build
sed -i 's/cpus = 1 memory = 1MB/cpus = 2 memory = 2MB/; s/price = 0.24/price = 9/' Pipelinefile
build
expect up_to_date=1
sed -i 's/    out o = "o"/    out o = "o" pool p timeout 1h retry 2/' Pipelinefile
build
expect up_to_date=1
sed -i 's/count = 1/count = 2/' Pipelinefile
build
expect ran=1
expect_step a ran '*count*'
sed -i 's/m4.xlarge/m5.xlarge/' Pipelinefile
build
expect ran=1
sed -i 's/cpus = 2/cpus = 4096/' Pipelinefile
build --rerun a
expect ran=1
expect_notice beyond-means
sed -i 's/cpus = 4096/gpus = 3/' Pipelinefile
CUDA_VISIBLE_DEVICES=0,1 exits 2 build --rerun a
complains '*GPU*'
sed -i 's/touch o/echo $CUDA_VISIBLE_DEVICES > o/' Pipelinefile
CUDA_VISIBLE_DEVICES=4,5,6,7 build
holds o 4,5,6
