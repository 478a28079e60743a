#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A Ceph object gateway of one monitor, one store in memory and one gateway, on loopback ports that were free.
All of it lies in one folder and ends with the `with` block."""
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

PROGRAMS = ["ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool", "openssl"]
PACKAGES = "radosgw ceph-mon ceph-osd ceph-common openssl"
KEY_ID, SECRET = "PAWLTESTKEY000000001", "pawl/test+secret/0000000000000000000000001"
STRANGER_ID = "PAWLTESTKEY000000002"  # may do nothing in others' buckets
NAME = "s3.localhost"

CONF = """[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon_port}/0]
ms_bind_msgr1 = false
ms_bind_ipv6 = false
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
keyring = {dir}/keyring
run_dir = {dir}
crash_dir = {dir}
admin_socket =
pid_file =
log_file = {dir}/$name.log
log_to_stderr = false
err_to_stderr = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 2000
mon_data_avail_crit = 1
mon_data_avail_warn = 2
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
[mon]
mon_data = {dir}/mon
mon_cluster_log_file = {dir}/cluster.log
auth_allow_insecure_global_id_reclaim = true
[osd]
osd_data = {dir}/osd
osd_objectstore = memstore
memstore_device_bytes = {store}
[client]
rgw_frontends = beast tcp_nodelay=1 endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls_port} ssl_certificate={dir}/server.pem ssl_private_key={dir}/server.key
rgw_dns_name = {name}
rgw_data = {dir}/rgw
rgw_thread_pool_size = 32
rgw_override_bucket_index_max_shards = 1
rgw_dynamic_resharding = false
rgw_enable_usage_log = false
rgw_enable_ops_log = {log}
rgw_ops_log_rados = false
rgw_ops_log_file_path = {dir}/requests.json
rgw_s3_auth_use_sts = {sts}
rgw_sts_key = abcdefghijklmnop
"""


def missing():
    """What is not installed, in words; empty when a gateway can be started."""
    absent = [p for p in PROGRAMS if not shutil.which(p)]
    return f"{', '.join(absent)} not found (Debian: {PACKAGES})" if absent else ""


def free_ports(count):
    """Ports nobody listens on; all are held until all are chosen."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Gateway:
    """store: how much fits in; log: whether each request is written down for requests(); sts: whether it gives keys
    for a while, and takes them."""
    def __init__(self, store="1G", log=False, sts=False):
        self.sts = sts
        self.store, self.log, self.log_at, self.markers = store, log, 0, 0
        self.dir = tempfile.mkdtemp(prefix="pawl-s3-")
        self.port, self.tls_port, self.mon_port = free_ports(3)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.tls_endpoint = f"https://127.0.0.1:{self.tls_port}"
        self.host_endpoint = f"http://{NAME}:{self.port}"
        self.ca = os.path.join(self.dir, "ca.pem")
        self.running = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def run(self, *command, timeout=60):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=timeout, check=False, cwd=self.dir)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}")
        return done.stdout

    def ceph(self, program, *arguments):
        return self.run(program, "-c", self.path("ceph.conf"), *arguments)

    def daemon(self, *command):
        """A daemon dies with us even if we are killed: it is asked for by prctl in its child."""
        def with_parent():
            import ctypes  # pylint: disable=import-outside-toplevel
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        with open(self.path(command[0] + ".out"), "ab") as out:
            self.running.append(subprocess.Popen(
                [command[0], "-c", self.path("ceph.conf"), "-f", *command[1:]], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, preexec_fn=with_parent))  # pylint: disable=subprocess-popen-preexec-fn

    def make_certificates(self):
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self.run("openssl", "req", "-x509", *key, "-days", "2", "-subj", "/CN=pawl tests", "-keyout",
                 "ca.key", "-out", "ca.pem", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                 "keyUsage=critical,keyCertSign")
        self.run("openssl", "req", *key, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
        with open(self.path("server.ext"), "w", encoding="ascii") as f:
            f.write(f"subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:{NAME},DNS:*.{NAME}\n")
        self.run("openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                 "-CAcreateserial", "-days", "2", "-extfile", "server.ext", "-out", "server.pem")

    def make_keyring(self):
        def add(name, *caps):
            self.run("ceph-authtool", *([] if os.path.exists(self.path("keyring")) else ["--create-keyring"]),
                     self.path("keyring"), "--gen-key", "-n", name, *caps)
        add("mon.", "--cap", "mon", "allow *")
        add("client.admin", "--cap", "mon", "allow *", "--cap", "osd", "allow *")
        add("osd.0", "--cap", "mon", "allow profile osd", "--cap", "osd", "allow *")
        add("client.rgw", "--cap", "mon", "allow rw", "--cap", "osd", "allow rwx")

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as s:
                s.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return s.recv(12).endswith(b" 200")
        except OSError:
            return False

    def start(self):
        for name in ("mon", "osd", "rgw"):
            os.mkdir(self.path(name))
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        with open(self.path("ceph.conf"), "w", encoding="ascii") as f:
            f.write(CONF.format(fsid=fsid, dir=self.dir, port=self.port, tls_port=self.tls_port,
                                mon_port=self.mon_port, name=NAME, store=self.store,
                                log="true" if self.log else "false", sts="true" if self.sts else "false"))
        self.make_certificates()
        self.make_keyring()
        self.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a",
                 f"[v2:127.0.0.1:{self.mon_port}/0]", self.path("monmap"))
        self.ceph("ceph-mon", "--mkfs", "-i", "a", "--monmap", self.path("monmap"), "--keyring", self.path("keyring"))
        self.daemon("ceph-mon", "-i", "a")
        self.ceph("ceph", "--connect-timeout", "20", "osd", "new", osd)
        self.ceph("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.daemon("ceph-osd", "-i", "0")
        self.daemon("radosgw", "-n", "client.rgw")
        self.wait_for_answer()
        self.add_user("pawl", KEY_ID, SECRET)
        self.add_user("stranger", STRANGER_ID, SECRET)

    def wait_for_answer(self):
        deadline = time.monotonic() + 60
        while not self.answers():
            ended = [p.args[0] for p in self.running if p.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"the gateway does not come up ({ended or 'no answer'})")
            time.sleep(0.05)

    def daemon_named(self, name):
        return [p for p in self.running if p.args[0] == name][0]

    def kill_daemon(self, name):
        """What it kept stays, as long as it is not the store."""
        process = self.daemon_named(name)
        process.kill()
        process.wait()
        self.running.remove(process)

    def add_user(self, name, key_id, secret):
        self.ceph("radosgw-admin", "user", "create", f"--uid={name}", f"--display-name={name}",
                  f"--access-key={key_id}", f"--secret-key={secret}")

    def add_role(self, name):
        """The user 'pawl' may take it on, and who has it may do anything in buckets."""
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/pawl"]}, "Action": ["sts:AssumeRole"]}]}
        allowed = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}]}
        self.ceph("radosgw-admin", "role", "create", f"--role-name={name}", "--path=/",
                  f"--assume-role-policy-doc={json.dumps(trust)}")
        self.ceph("radosgw-admin", "role-policy", "put", f"--role-name={name}", "--policy-name=all",
                  f"--policy-doc={json.dumps(allowed)}")
        return f"arn:aws:iam:::role/{name}"

    def make_bucket(self, name):
        now, payload = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), hashlib.sha256(b"").hexdigest()
        scope, names = f"{now[:8]}/us-east-1/s3/aws4_request", "host;x-amz-content-sha256;x-amz-date"
        fields = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": payload, "x-amz-date": now}
        asked = f"PUT\n/{name}\n\n" + "".join(f"{k}:{v}\n" for k, v in fields.items()) + f"\n{names}\n{payload}"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(asked.encode()).hexdigest()}"
        key = b"AWS4" + SECRET.encode()
        for part in [*scope.split("/"), text]:
            key = hmac.digest(key, part.encode(), "sha256")
        fields["authorization"] = f"AWS4-HMAC-SHA256 Credential={KEY_ID}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT", headers=fields)
        urllib.request.urlopen(request, timeout=20).close()

    @staticmethod
    def read_requests(line):
        """Threads of the gateway that write at once put several into a line, and leave another empty."""
        decoder, at = json.JSONDecoder(), 0
        while at < len(line):
            request, at = decoder.raw_decode(line, at)
            yield request

    def requests(self, bucket):
        """(method, operation, bytes that came, bytes that went) of each request since the last call. One of our own
        to a bucket that is there, which is left out, says that all before it are written down."""
        self.markers += 1
        marker = f"/{bucket}/marker-{self.markers} "
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            s.sendall(f"GET {marker}HTTP/1.0\r\n\r\n".encode())
            while s.recv(4096):
                pass
        found, deadline = [], time.monotonic() + 20
        with open(self.path("requests.json"), encoding="utf-8") as f:
            f.seek(self.log_at)
            while time.monotonic() < deadline:
                at = f.tell()
                line = f.readline()
                if not line.endswith("\n"):
                    f.seek(at)
                    time.sleep(0.02)
                    continue
                seen = [r for r in self.read_requests(line.strip()) if "/marker-" not in r["uri"] or marker in r["uri"]]
                found += [(sys.intern(r["uri"].split(" ")[0]), sys.intern(r["operation"]), r["bytes_received"],
                           r["bytes_sent"]) for r in seen if marker not in r["uri"]]
                if any(marker in r["uri"] for r in seen):
                    self.log_at = f.tell()
                    return found
        raise RuntimeError("the gateway does not write down what it is asked")

    def stop(self):
        for process in reversed(self.running):
            process.kill()  # nothing of it is wanted again
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
