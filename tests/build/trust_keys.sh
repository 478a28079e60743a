# SPDX-License-Identifier: MIT
# Keys: where they lie, which are refused, how one follows another, and that the secret half is nowhere to be seen.
far=file://$T/far
user() { # user NAME: whose home and cache the next commands use
    HOME=$T/$1
    PAWL_CACHE_DIR=$T/$1/cache
    mkdir -p "$HOME"
}
workspace() {
    mkdir -p "$1/keys"
    pipeline "$1/Pipelinefile" <<END
pipeline model
remote "$far" { $2 }
step a for i in range(20) {
    in  "src"
    out "model-{{i}}"
    run "cat ../world > model-{{i}}"
}
END
    echo x >"$1/src"
}
export HOME PAWL_CACHE_DIR
echo first >world
workspace made ''

# A key that is named and not there, or is none, ends the command; one that others can read is not used.
user maker
export PAWL_SIGNING_KEY=$T/maker/ci.pem
exits 2 build -C made
complains "*'$T/maker/ci.pem' does not exist*"
echo nothing >"$T/maker/ci.pem"
chmod 600 "$T/maker/ci.pem"
exits 2 build -C made
complains '*no private key*'
rm "$T/maker/ci.pem"
pawl cache key new "$T/maker/ci.pem"
says "*PAWL_SIGNING_KEY=$T/maker/ci.pem*"
chmod 644 "$T/maker/ci.pem"
build -C made
expect ran=20
expect_notice open-signing-key
workspace reader 'trust = ["keys/ci.pub"]'
cp "$T/maker/ci.pub" reader/keys/
user reader
unset PAWL_SIGNING_KEY
exits 1 pawl restore -C reader

# Signed once the file is private again: what was made before is signed by push, and nothing is built or sent twice.
user maker
export PAWL_SIGNING_KEY=$T/maker/ci.pem
chmod 600 "$T/maker/ci.pem"
build -C made
expect up_to_date=20
pawl cache push -C made
says 'pushed: 20 results; 0 were there*'
pawl cache push -C made
says 'pushed: 0 results; 20 were there*'
same "$(find "$T/far/p" -type f | wc -l | tr -d ' ')" 1
user reader
unset PAWL_SIGNING_KEY
echo second >world
build -C reader
expect restored=20
holds reader/model-7 first

# Rotation: both are listed, somebody vouches with the new key, and the old one goes.
exits 2 pawl cache key vouch -C reader
complains '*no key*'
pawl cache key new
cp "$HOME/.config/pawl/key.pub" reader/keys/new.pub
sed -i 's,"keys/ci.pub","keys/ci.pub"\, "keys/new.pub",' reader/Pipelinefile
pawl cache key -C reader
says "own *trusted *keys/ci.pub*trusted *keys/new.pub*"
pawl cache key vouch -C reader
says 'vouched for: 20 results; 0 were yours*'
pawl cache key vouch -C reader
says 'vouched for: 0 results; 20 were yours*'
user after
workspace after 'trust = ["keys/new.pub"]'
cp reader/keys/new.pub after/keys/
build -C after
expect restored=20
pawl cache check --remote -C after
says '*signatures: 1 good, 1 of keys not known here, 0 wrong*'

# Nobody vouches for what anybody may have put there.
user reader
workspace open ''
exits 2 pawl cache key vouch -C open
complains '*lists no keys*'

# What is no public key is not taken in; nor is another one overwritten.
exits 1 pawl cache key trust -C after "$T/maker/ci.pem"
complains '*no public key*'
cp "$T/maker/ci.pub" new.pub
exits 1 pawl cache key trust -C after "$T/ws/new.pub"
complains '*another key*'
(cd after && pawl cache key trust "../new.pub" >/dev/null) && fail "overwritten" || :
exits 2 pawl cache key trust -C after
exits 2 pawl cache key frob

# An empty list takes nothing from afar, and what was made here.
user nobody
workspace nobody 'trust = []'
build -C nobody
expect ran=20
rm nobody/model-3
build -C nobody
expect restored=1 up_to_date=19
holds nobody/model-3 second

# The secret halves stand in their files alone.
for pem in "$T/maker/ci.pem" "$T/reader/.config/pawl/key.pem"; do
    secret=$(sed -n 2p "$pem")
    [ "$(grep -rlF "$secret" "$T" | sort -u)" = "$pem" ] || fail "a secret half is elsewhere, too"
done
