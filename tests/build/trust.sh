# SPDX-License-Identifier: MIT
# A workspace that lists keys uses what they signed and what was made here, and nothing else: neither from the place that
# all can write to, nor because it lies in a cache that another workspace of the same person filled.
far=file://$T/far
user() { # user NAME: whose home and cache the next commands use
    HOME=$T/$1
    PAWL_CACHE_DIR=$T/$1/cache
    mkdir -p "$HOME"
}
workspace() { # workspace NAME LIST: the same step in each; what it makes depends on what nobody declares
    mkdir -p "$1"
    pipeline "$1/Pipelinefile" <<END
pipeline model
remote "$far" { $2 }
step a {
    in  "src"
    out o = "model"
    run "cat ../world > {{o}}"
}
END
    echo x >"$1/src"
}
workspace ci ''
workspace release 'trust = ["keys/ci.pub"]'
workspace pr ''
workspace open ''
export HOME PAWL_CACHE_DIR
echo poison >world

# The builder of pull requests has no key, or one that nobody lists.
user pr
build -C pr
expect ran=1
echo good >world

# Without the key's file nothing runs.
user release
exits 2 build -C release
complains "*'keys/ci.pub'*"

user ci
pawl cache key new
complains ''
id=$(sed -n 's/^made key \([0-9a-f]*\)$/\1/p' "$T/out")
[ ${#id} = 32 ] || fail "no id"
same "$(stat -c %a "$HOME/.config/pawl/key.pem")" 600
exits 1 pawl cache key new
complains '*never overwritten*'
user release
pawl cache key trust -C release "$T/ci/.config/pawl/key.pub"
says '*trust = ?"keys/ci.pub", "keys/key.pub"?*'
mv release/keys/key.pub release/keys/ci.pub
holds release/keys/ci.pub "$(cat "$T/ci/.config/pawl/key.pub")"

# Poison in the place is not used; nor what lies here because an open workspace has fetched it.
build -C open
expect restored=1
holds open/model poison
build -C release
expect ran=1
holds release/model good
build -C release
expect up_to_date=1
rm release/model # made here: own, though nobody has signed it
echo poison >world
build -C release
expect restored=1
holds release/model good

# What the listed key signed is used, and its own place in the cache is no secret.
user ci
rm -rf "$T/far"
echo good >world
build -C ci
expect ran=1
user third
mkdir -p third/keys
cp -r release/keys third/
workspace third 'trust = ["keys/ci.pub"]'
echo poison >world
build -C third
expect restored=1
grep -q '"from":"remote"' "$T/events" || fail "not from afar"
rm third/model
build -C third --no-remote
expect restored=1
holds third/model good
pawl cache ls --remote -C third
says "*model  (keys/ci.pub)*"
pawl cache key -C third
says "*trusted  $id  keys/ci.pub*"
pawl cache check --remote -C third
says "*signatures: 1 good, 0 of keys not known here, 0 wrong*"

# Taken off the list: what it signed is gone, also where it is in place.
user ci
mv "$HOME/.config/pawl" "$HOME/.config/stolen"
pawl cache key new
cp "$HOME/.config/pawl/key.pub" third/keys/new.pub
user third
sed -i 's,keys/ci.pub,keys/new.pub,' third/Pipelinefile
pawl status -C third
says '*somebody who is not trusted*'
build -C third
expect ran=1
expect_step a ran '*somebody who is not trusted*'
build -C third
expect up_to_date=1
