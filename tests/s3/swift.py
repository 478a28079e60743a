# SPDX-License-Identifier: MIT
"""OpenStack Swift with its S3 layer, of one server of each kind, on loopback ports that were free: a second opinion.
All of it lies in one folder, which must take extended attributes, and ends with the `with` block."""
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

from gateway import free_ports

PROGRAMS = ["swift-proxy-server", "swift-account-server", "swift-container-server", "swift-object-server",
            "swift-ring-builder", "memcached"]
PACKAGES = "swift-proxy swift-account swift-container swift-object memcached"
KEY_ID, SECRET, STRANGER_ID = "pawl:tester", "pawltestsecret0000000000000000000000001", "other:tester"

RING = """[swift-hash]
swift_hash_path_prefix = pawl
swift_hash_path_suffix = pawl
[storage-policy:0]
name = gold
default = yes
"""
COMMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {dir}/etc
log_address = /dev/null
log_level = ERROR
"""
STORAGE = COMMON + """devices = {dir}/node
mount_check = false
disable_fallocate = true
recon_cache_path = {dir}/cache
db_preallocation = off
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
FILTERS = ["catch_errors", "gatekeeper", "healthcheck", "listing_formats", "bulk", "copy", "slo", "dlo", "symlink"]
PROXY = COMMON + """
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
storage_domain = s3.localhost
max_bucket_listing = 1000
[filter:tempauth]
use = egg:swift#tempauth
user_pawl_tester = {secret} .admin
user_other_tester = {secret} .admin
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
""" + "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in FILTERS)


def missing():
    absent = [p for p in PROGRAMS if not shutil.which(p)]
    return f"{', '.join(absent)} not found (Debian: {PACKAGES})" if absent else ""


class Swift:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="pawl-swift-", dir=os.environ.get("PAWL_SWIFT_DIR"))
        self.ports = dict(zip(["proxy", "account", "container", "object", "memcached"], free_ports(5)))
        self.port = self.ports["proxy"]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.running = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(text)

    def daemon(self, name, *command):
        """In a session of its own, ended with all its workers; and dies with us even if we are killed."""
        def with_parent():
            import ctypes  # pylint: disable=import-outside-toplevel
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        with open(self.path(name + ".out"), "ab") as out:
            self.running.append(subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                preexec_fn=with_parent))  # pylint: disable=subprocess-popen-preexec-fn

    def make_ring(self, kind):
        for arguments in (["create", "4", "1", "1"], ["add", f"r1z1-127.0.0.1:{self.ports[kind]}/d1", "1"], ["rebalance"]):
            subprocess.run(["swift-ring-builder", f"{kind}.builder", *arguments], cwd=self.path("etc"), timeout=60,
                           stdout=subprocess.DEVNULL, check=arguments[0] != "rebalance")

    def wait_for(self, name):
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.ports[name]), timeout=2).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    with open(self.path(name + ".out"), encoding="utf-8", errors="replace") as f:
                        raise RuntimeError(f"swift's {name} does not come up: {f.read()[-1000:]}") from None
                time.sleep(0.05)

    def start(self):
        for name in ("etc", "node", "node/d1", "cache"):
            os.mkdir(self.path(name))
        user = getpass.getuser()
        self.write("etc/swift.conf", RING)
        self.daemon("memcached", "memcached", "-l", "127.0.0.1", "-p", str(self.ports["memcached"]), "-U", "0", "-m", "64",
                    "-u", user)
        for kind in ("account", "container", "object"):
            self.make_ring(kind)
            self.write(f"etc/{kind}-server.conf", STORAGE.format(port=self.ports[kind], user=user, dir=self.dir, kind=kind))
            self.daemon(kind, f"swift-{kind}-server", self.path(f"etc/{kind}-server.conf"))
        self.write("etc/proxy-server.conf", PROXY.format(port=self.port, user=user, dir=self.dir, secret=SECRET,
                                                         memcached=self.ports["memcached"]))
        self.daemon("proxy", "swift-proxy-server", self.path("etc/proxy-server.conf"))
        for name in self.ports:
            self.wait_for(name)
        with urllib.request.urlopen(self.endpoint + "/healthcheck", timeout=10) as answer:
            if answer.read() != b"OK":
                raise RuntimeError("swift is not well")

    def stop(self):
        for process in reversed(self.running):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
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
