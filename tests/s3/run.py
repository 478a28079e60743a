#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Starts a gateway, then asks it all that tests/s3 has to ask. run.py FOLDER-WITH-PROGRAMS [NAME...]
Exit code 77: no gateway is installed."""
import http.server
import json
import os
import subprocess
import sys
import threading
import time

import gateway
import proxy

PROGRAMS = [["s3_promises", "s3"], ["s3_promises", "s3-host"], ["s3_promises", "s3-tls"], ["s3_operations"], ["s3_faults"]]
LIMIT_S = 40


class Container(http.server.BaseHTTPRequestHandler):
    """The endpoint from which a container takes its keys."""
    def do_GET(self):  # pylint: disable=invalid-name
        known = self.headers.get("Authorization") == "let-me-in"
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        body = json.dumps({"AccessKeyId": gateway.KEY_ID, "SecretAccessKey": gateway.SECRET, "Token": "",
                           "Expiration": later} if known else {}).encode()
        self.send_response(200 if known else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def begin_container():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Container)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/keys"


def environment(g, faults):
    ports = {name: f"http://127.0.0.1:{fault.port}" for name, fault in faults.items()}
    return {**os.environ, **ports, "S3_TEST_ENDPOINT": g.endpoint, "S3_TEST_HOST_ENDPOINT": g.host_endpoint,
            "S3_TEST_TLS_ENDPOINT": g.tls_endpoint, "S3_TEST_CA": g.ca, "S3_TEST_KEY": gateway.KEY_ID,
            "S3_TEST_SECRET": gateway.SECRET, "S3_TEST_STRANGER": gateway.STRANGER_ID,
            "S3_TEST_CONTAINER": begin_container(),
            "S3_TEST_TLS_OTHER_NAME": g.tls_endpoint.replace("127.0.0.1", "localhost4.localhost")}


def main():
    absent = gateway.missing()
    if absent:
        print("skipped: " + absent)
        sys.exit(77)
    names = sys.argv[2:]
    failed = []
    begun = time.monotonic()
    with gateway.Gateway() as g:
        faults = proxy.begin(g.port)
        print(f"the gateway came up in {time.monotonic() - begun:.1f} s", flush=True)
        for program in PROGRAMS:
            if names and " ".join(program) not in names:
                continue
            t = time.monotonic()
            done = subprocess.run([os.path.join(sys.argv[1], program[0]), *program[1:]], env=environment(g, faults),
                                  timeout=LIMIT_S, check=False)
            print(f"{' '.join(program)}: {done.returncode} in {time.monotonic() - t:.1f} s", flush=True)
            failed += [" ".join(program)] if done.returncode else []
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
