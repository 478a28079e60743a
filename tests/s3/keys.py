#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keys for a while, from where AWS tools take them, by whole builds: a role by a profile, a session token of the
environment, a container's endpoint, an instance's metadata, a process. keys.py PAWL. Exit code 77: no gateway."""
import http.server
import json
import os
import shutil
import sys
import tempfile
import threading
import time

import gateway
from client import Client
from remote import Machine, want

PIPELINE = """
remote "s3://pawl-keys/team" { path_style = true  region = "us-east-1" }
step one for i in range(5) { in "raw.csv" out o = "one-{{i}}" run "cp raw.csv {{o}}; sleep 0.1; true" }
"""
CONFIG = """
[profile base]
aws_access_key_id = {id}
aws_secret_access_key = {secret}
[profile ci]
role_arn = {role}
source_profile = base
[profile process]
credential_process = cat "$HOME/keys.json"
[profile failing]
credential_process = cat "$HOME/keys.json"; exit 1
"""
TOKEN = "token-of-the-host"


class Host(http.server.BaseHTTPRequestHandler):
    """What gives keys on this machine: an instance's metadata, version 2 alone, and a container's endpoint."""
    keys, manner, asked = None, "well", []

    def answer(self, status, text):
        body = text.encode()
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            pass  # who asked waits no more

    def keys_text(self):
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 900))
        key_id, secret, token = Host.keys
        return json.dumps({"Code": "Success", "AccessKeyId": key_id, "SecretAccessKey": secret, "Token": token,
                           "Expiration": later})

    def do_PUT(self):  # pylint: disable=invalid-name
        Host.asked.append("PUT " + self.path)
        if Host.manner == "slow":
            time.sleep(5)
        known = self.path == "/latest/api/token" and self.headers.get("x-aws-ec2-metadata-token-ttl-seconds")
        self.answer(200 if known else 400, TOKEN if known else "")

    def do_GET(self):  # pylint: disable=invalid-name
        Host.asked.append("GET " + self.path)
        if Host.manner == "stuck":
            time.sleep(60)
        if self.path == "/container":
            known = self.headers.get("Authorization") == "let-me-in"
            self.answer(200 if known else 403, self.keys_text() if known else "{}")
        elif Host.manner == "401" or self.headers.get("x-aws-ec2-metadata-token") != TOKEN:
            self.answer(401, "")
        elif self.path.endswith("/security-credentials/"):
            self.answer(200, "ci-role")
        else:
            self.answer(200 if self.path.endswith("/ci-role") else 404, self.keys_text())

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class Scene:
    def __init__(self, top, g):
        self.top, self.g, self.count = top, g, 0
        self.client = Client(g, "pawl-keys")
        self.client.make()
        self.role = g.add_role("ci")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.host = f"http://127.0.0.1:{server.server_port}"

    def machine(self, **env):
        self.count += 1
        m = Machine(self.top, f"m{self.count}", self.g, pipeline=PIPELINE)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            del m.env[name]
        m.env.update(env)
        os.mkdir(os.path.join(m.dir, ".aws"))
        m.write(".aws/config", CONFIG.format(id=gateway.KEY_ID, secret=gateway.SECRET, role=self.role))
        return m

    def serves(self, text, **env):
        """What one machine has sent another one gets, both with these keys."""
        Host.asked = []
        one, two = self.machine(**env), self.machine(**env)
        for m in (one, two):
            m.write("raw.csv", text)
        for m, counts in ((one, {"ran": 5}), (two, {"restored": 5})):
            built = m.build()
            built.expect(**counts)
            want(built.notices == [], "somebody is told something", built.out)

    def fails(self, limit_s, **env):
        """One line, in time, and no key in it."""
        Host.asked = []
        built = self.machine(**env).build()
        built.expect(ran=5)
        want(built.notices in (["remote-down"], ["remote-unfinished"]), f"one line, not {built.notices}", built.out)
        want(built.took < limit_s, f"took {built.took:.1f} s", built.out)
        want(not any(part in built.out for part in Host.keys), "a key is told", built.out)


def role_by_profile(s):
    s.serves("role\n", PAWL_REMOTE_PROFILE="ci", AWS_ENDPOINT_URL_STS=s.g.endpoint)
    s.fails(20, PAWL_REMOTE_PROFILE="ci", AWS_ENDPOINT_URL_STS=f"http://127.0.0.1:{gateway.free_ports(1)[0]}")


def session_token(s):
    key_id, secret, token = Host.keys
    s.serves("token\n", AWS_ACCESS_KEY_ID=key_id, AWS_SECRET_ACCESS_KEY=secret, AWS_SESSION_TOKEN=token)
    s.fails(20, AWS_ACCESS_KEY_ID=key_id, AWS_SECRET_ACCESS_KEY=secret)
    s.fails(20, AWS_ACCESS_KEY_ID=key_id, AWS_SECRET_ACCESS_KEY=secret, AWS_SESSION_TOKEN=token[:-8] + "AAAAAAA=")


def container(s):
    url = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": s.host + "/container"}
    s.serves("container\n", **url, AWS_CONTAINER_AUTHORIZATION_TOKEN="let-me-in")
    want(Host.asked == ["GET /container"] * 2, f"asked {Host.asked}")
    s.fails(20, **url, AWS_CONTAINER_AUTHORIZATION_TOKEN="wrong")
    s.fails(20, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"http://127.0.0.1:{gateway.free_ports(1)[0]}/x")
    Host.manner = "stuck"
    s.fails(45, **url, AWS_CONTAINER_AUTHORIZATION_TOKEN="let-me-in")
    Host.manner = "well"


def instance(s):
    on = {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": s.host}
    s.serves("instance\n", **on)
    path = "/latest/meta-data/iam/security-credentials/"
    want(Host.asked == ["PUT /latest/api/token", "GET " + path, "GET " + path + "ci-role"] * 2, f"asked {Host.asked}")
    for manner in ("401", "slow", "stuck"):
        Host.manner = manner
        s.fails(20, **on)
        want(manner != "slow" or "GET" not in "".join(Host.asked), "asked without a token")
    Host.manner = "well"
    s.fails(20, **{**on, "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{gateway.free_ports(1)[0]}"})


def process(s):
    """While steps end, whose children are reaped by the same program."""
    key_id, secret, token = Host.keys
    old = s.machine

    def with_keys(**env):
        m = old(**env)
        m.write("keys.json", json.dumps({"Version": 1, "AccessKeyId": key_id, "SecretAccessKey": secret, "SessionToken": token}))
        return m
    s.machine = with_keys
    s.serves("process\n", PAWL_REMOTE_PROFILE="process")
    s.fails(20, PAWL_REMOTE_PROFILE="failing")
    s.machine = old


def main():
    absent = gateway.missing()
    if absent:
        print("skipped: " + absent)
        sys.exit(77)
    top = tempfile.mkdtemp(prefix="pawl-keys-")
    try:
        with gateway.Gateway(sts=True) as g:
            scene = Scene(top, g)
            Host.keys = scene.client.assume(scene.role)
            for test in (role_by_profile, session_token, container, instance, process):
                begun = time.monotonic()
                print(test.__name__, flush=True)
                test(scene)
                print(f"  {time.monotonic() - begun:.1f} s", flush=True)
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
