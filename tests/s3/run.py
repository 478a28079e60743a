#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Starts a gateway, then asks it all that tests/s3 has to ask. run.py FOLDER-WITH-PROGRAMS [NAME...]
Exit code 77: no gateway is installed."""
import os
import subprocess
import sys
import time

import gateway
import proxy

PROGRAMS = [["s3_promises", "s3"], ["s3_promises", "s3-host"], ["s3_promises", "s3-tls"], ["s3_operations"], ["s3_faults"]]
LIMIT_S = 40


def environment(g, faults):
    ports = {name: f"http://127.0.0.1:{fault.port}" for name, fault in faults.items()}
    return {**os.environ, **ports, "S3_TEST_ENDPOINT": g.endpoint, "S3_TEST_HOST_ENDPOINT": g.host_endpoint,
            "S3_TEST_TLS_ENDPOINT": g.tls_endpoint, "S3_TEST_CA": g.ca, "S3_TEST_KEY": gateway.KEY_ID,
            "S3_TEST_SECRET": gateway.SECRET, "S3_TEST_STRANGER": gateway.STRANGER_ID,
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
