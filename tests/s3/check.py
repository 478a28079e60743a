#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a gateway promises, as `pawl cache check --remote` tells it; and keys that may only read. check.py PAWL.
Exit code 77: no gateway is installed."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import gateway
import proxy
from client import Client
from remote import Machine, want

PAWL = os.path.abspath(sys.argv[1])
PIPELINE = """
remote "s3://pawl-check/team/cache" { path_style = true  region = "us-east-1" }
step one { in "raw.csv" out o = "one" run "cp raw.csv one" }
"""
ALL = ["dates", "listing", "conditions", "parts", "signatures", "versions", "rules"]
RULE = """<LifecycleConfiguration><Rule><ID>x</ID><Filter><Prefix>{}</Prefix></Filter><Status>{}</Status>
<Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>"""


def machine(top, g, name, endpoint=None, pipeline=PIPELINE):
    m = Machine(top, name, g, pipeline=pipeline)
    m.env["PAWL_REMOTE_ENDPOINT"] = endpoint or g.endpoint
    return m


def told(m, code=0):
    """{promise: kept} by the command, and what it printed."""
    done = subprocess.run([PAWL, "cache", "check", "--remote", "--json"], cwd=m.dir, env=m.env, text=True,
                          capture_output=True, timeout=60, check=False)
    want(done.returncode == code, f"ended with {done.returncode}", done.stdout + done.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {x["promise"]: x["kept"] for x in lines if "promise" in x}, done.stdout + done.stderr


def expect(m, **otherwise):
    got, out = told(m)
    for name in ALL:
        wanted = otherwise.get(name, True)
        want(got.get(name, "missing") == wanted, f"{name} should be {wanted}", out)


def gateway_keeps_all(m, client):
    expect(m)
    left = client.request("GET", query="list-type=2&prefix=team%2Fcache%2Fl%2F")
    want(b"<Key>" not in left, "keys are left behind", left.decode())
    done = subprocess.run([PAWL, "cache", "check", "--remote"], cwd=m.dir, env=m.env, text=True, capture_output=True,
                          timeout=60, check=False)
    want("kept     signatures  a request that was signed 20 minutes ago is refused" in done.stdout, "no line", done.stdout)


def broken_ones_are_told(top, g, faults):
    for fault, broken in (("condition-501", ["conditions"]), ("condition-200", ["conditions"]),
                          ("old-200", ["signatures"]), ("whole-200", ["parts"]), ("lag", ["listing"]),
                          ("no-date", ["dates"])):
        m = machine(top, g, "check-" + fault, f"http://127.0.0.1:{faults[fault].port}")
        expect(m, **{name: False for name in broken})


def versions_and_rules_are_noticed(m, client):
    client.request("PUT", body=RULE.format("other/", "Enabled").encode(), query="lifecycle=")
    expect(m)
    client.request("PUT", body=RULE.format("team/", "Disabled").encode(), query="lifecycle=")
    expect(m)
    client.request("PUT", body=RULE.format("team/", "Enabled").encode(), query="lifecycle=")
    expect(m, rules=False)
    client.request("PUT", body=b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>", query="versioning=")
    # There this gateway puts a key whatever the condition says; leases are off then.
    expect(m, rules=False, versions=False, conditions=False)
    client.request("DELETE", query="lifecycle=")
    client.request("PUT", body=b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
                   query="versioning=")
    expect(m)


def keys_that_may_only_read(top, g, faults, client):
    """One notice, and what is there is used all the same."""
    writer = machine(top, g, "writer")
    writer.build().expect(ran=1)
    reader = machine(top, g, "reader", f"http://127.0.0.1:{faults['puts-403'].port}",
                     pipeline=PIPELINE + 'step two { in "raw.csv" out o = "two" run "cp raw.csv two" }\n')
    built = reader.build()
    built.expect(ran=1, restored=1)
    want(built.notices == ["remote-read-only"], f"one notice, not {built.notices}", built.out)
    got, out = told(reader)
    want(got == {**{name: None for name in ALL}, "versions": True, "rules": True}, "what cannot be asked is not told", out)
    # The same by a policy of the bucket: another user's keys, which may get and list.
    client.request("PUT", body=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/stranger"]},
         "Action": ["s3:GetObject", "s3:ListBucket"],
         "Resource": ["arn:aws:s3:::pawl-check", "arn:aws:s3:::pawl-check/*"]}]}).encode(), query="policy=")
    stranger = machine(top, g, "stranger", pipeline=PIPELINE + 'step three { in "raw.csv" out o = "three" run "cp raw.csv three" }\n')
    stranger.env["AWS_ACCESS_KEY_ID"] = gateway.STRANGER_ID
    built = stranger.build()
    built.expect(ran=1, restored=1)
    want(built.notices == ["remote-read-only"], f"one notice, not {built.notices}", built.out)


def main():
    absent = gateway.missing()
    if absent:
        print("skipped: " + absent)
        sys.exit(77)
    top = tempfile.mkdtemp(prefix="pawl-check-")
    try:
        with gateway.Gateway() as g:
            client = Client(g, "pawl-check")
            client.make()
            faults = proxy.begin(g.port)
            m = machine(top, g, "m")
            for name, test in (("all kept", lambda: gateway_keeps_all(m, client)),
                               ("broken ones", lambda: broken_ones_are_told(top, g, faults)),
                               ("only reading", lambda: keys_that_may_only_read(top, g, faults, client)),
                               ("versions and rules", lambda: versions_and_rules_are_noticed(m, client))):
                print(name, flush=True)
                test()
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
