#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A proxy with faults before a gateway: one port for each fault, so that a client chooses by endpoint, or one port whose
fault is changed while clients use it (Storm). A fault is NAME[-NUMBER][@TIMES]: it befalls the first TIMES requests of
each kind of request (method and path), or all. rate-N lets N thousand bytes a second pass, both ways together."""
import calendar
import re
import socket
import struct
import threading
import time

SLOW_DOWN = (b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code>'
             b"<Message>Please reduce your request rate.</Message></Error>")
FAULTS = ["none", "refuse", "close", "cut-0", "cut-0@1", "cut-20", "cut-400", "cut-400@1", "cut-5000", "cut-5000@2", "delay-300",
          "garble-head", "garble-body", "garble-body@1", "status-500", "status-500@2", "status-503", "status-503@2",
          "status-429@1", "status-501", "status-403-silent", "error-in-200", "error-in-200@1", "length-more",
          "length-more@1", "length-less", "stall", "stall@1", "stall-body", "stall-body@1", "drip", "drip-1", "endless",
          "endless-head", "no-http", "moved-away", "moved-around", "no-date", "truncated-xml", "truncated-xml@1",
          "list-forever", "list-backwards", "wrong-range", "twice", "reset-20", "reset-5000", "endless-interim",
          "endless-moved", "garble-xml", "expired", "etag-none", "etag-long", "date-7200", "date--7200",
          "condition-501", "condition-200", "old-200", "whole-200", "lag", "puts-403", "rate-400"]


def read_message(stream):
    """Head and body of a request or an answer; a body without a length is read to its end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline(65536)
        if not line:
            return None, b""
        head += line
    fields = {k.strip().lower(): v.strip() for k, _, v in
              (line.partition(b":") for line in head.split(b"\r\n")[1:])}
    if fields.get(b"transfer-encoding") == b"chunked":
        body = b""
        while True:
            size = int(stream.readline().split(b";")[0], 16)
            body += stream.read(size)
            stream.readline()
            if not size:
                head = re.sub(rb"(?im)^transfer-encoding:.*\r\n", b"", head)
                return head[:-2] + b"Content-Length: %d\r\n\r\n" % len(body), body
    return head, stream.read(int(fields.get(b"content-length", 0)))


def is_old(head):
    stamp = re.search(rb"(?im)^x-amz-date: *(\d{8}T\d{6})Z", head)
    if not stamp:
        return False
    signed = calendar.timegm(time.strptime(stamp[1].decode(), "%Y%m%dT%H%M%S"))
    return abs(time.time() - signed) > 900


def with_length(head, n):
    return re.sub(rb"(?im)^content-length:.*?\r\n", b"Content-Length: %d\r\n" % n, head)


def answer(status, body, more=b""):
    return (b"HTTP/1.1 %d Fault\r\nDate: %s\r\nContent-Type: application/xml\r\n%sContent-Length: %d\r\n\r\n"
            % (status, time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()).encode(), more, len(body)), body)


class Rate:
    """So many bytes a second for all connections together."""
    def __init__(self, bytes_a_second):
        self.pace, self.free_at, self.lock = bytes_a_second, 0.0, threading.Lock()

    def wait(self, n):
        with self.lock:
            self.free_at = max(self.free_at, time.monotonic()) + n / self.pace
            until = self.free_at
        time.sleep(max(0.0, until - time.monotonic()))


class Fault:
    """One port, unless it is told not to listen. Each connection has a thread; it ends with the proxy."""
    def __init__(self, text, upstream, listens=True):
        self.name, _, times = text.partition("@")
        self.times = int(times) if times else None
        self.upstream, self.seen, self.lock = upstream, {}, threading.Lock()
        self.requests = 0
        self.rate = Rate(int(self.name[5:]) * 1000) if self.name.startswith("rate-") else None
        if not listens:
            return
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        if self.name == "refuse":
            self.listener.close()
            return
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def befalls(self, head):
        """Whether this request is one of those that the fault is for."""
        method, target = head.split(b" ")[:2]
        with self.lock:
            self.requests += 1
            kind = method, target.split(b"?")[0]
            self.seen[kind] = self.seen.get(kind, 0) + 1
            return self.times is None or self.seen[kind] <= self.times

    def serve(self, client):
        try:
            with client, client.makefile("rb") as stream:
                while True:
                    head, body = read_message(stream)
                    if head is None or not self.once(client, head, body):
                        return
        except (OSError, ValueError):
            pass

    def forward(self, head, body):
        with socket.create_connection(self.upstream, timeout=20) as s, s.makefile("rb") as stream:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.sendall(head + body)
            first = stream.peek(1)  # HEAD has a length and no body
            if head.startswith(b"HEAD ") and first:
                lines = b""
                while not lines.endswith(b"\r\n\r\n"):
                    lines += stream.readline()
                return lines, b""
            return read_message(stream)

    def once(self, client, head, body):
        """Answers one request; false: the connection is closed after it."""
        if not self.befalls(head):
            got_head, got_body = self.forward(head, body)
            if got_head:
                client.sendall(got_head + got_body)
            return got_head is not None
        name, _, number = self.name.partition("-")
        if self.name == "expired":
            if b"Credential=OLDKEY" in head:
                xml = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
                client.sendall(b"".join(answer(400, xml)))
            else:
                client.sendall(b"".join(self.forward(head, body)))
            return True
        if self.name == "endless-moved":
            head = answer(307, b"", b"Location: http://127.0.0.1:%d%s\r\n" % (self.port, head.split(b" ")[1]))
            client.sendall(b"".join(head))
            return True
        if name == "condition" and re.search(rb"(?im)^if-none-match:", head):
            return self.conditional(client, head, body, number)
        if self.name == "old-200" and is_old(head):
            client.sendall(b"".join(answer(200, b"", b'ETag: "x"\r\n')))
            return True
        if self.name == "puts-403" and head.split(b" ")[0] in (b"PUT", b"POST", b"DELETE"):  # keys that may only read
            client.sendall(b"".join(answer(403, b"<Error><Code>AccessDenied</Code></Error>")))
            return True
        if self.name == "whole-200":  # takes no notice of a range
            got_head, got_body = self.forward(re.sub(rb"(?im)^range:.*?\r\n", b"", head), body)
            client.sendall(got_head + got_body)
            return True
        if name in ("close", "refuse", "stall", "status", "no", "moved", "endless") and self.name not in ("stall-body", "no-date"):
            return self.alone(client, head, number)
        got_head, got_body = self.forward(head, body)
        if got_head is None:
            return False
        return self.spoil(client, head, got_head, got_body)

    def conditional(self, client, head, body, number):
        """A put with a condition: refused as OpenStack Swift does, or done without a look at what is there."""
        if number == "501":
            client.sendall(b"".join(answer(501, b"<Error><Code>NotImplemented</Code></Error>")))
            return True
        got_head, got_body = self.forward(head, body)
        exists = got_head.split(b" ")[1] == b"412"
        client.sendall(b"".join(answer(200, b"", b'ETag: "x"\r\n') if exists else (got_head, got_body)))
        return True

    def alone(self, client, head, number):
        """Faults that need no gateway."""
        if self.name == "stall":
            time.sleep(60)
        elif self.name == "no-http":
            client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)
        elif self.name == "endless":
            client.sendall(answer(200, b"")[0].replace(b"Content-Length: 0\r\n", b'ETag: "x"\r\n'))
            while True:
                client.sendall(b"0123456789abcdef" * 4096)
        elif self.name == "endless-head":
            client.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                client.sendall(b"x-more: 0123456789\r\n" * 1000)
        elif self.name == "endless-interim":
            while True:
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
                time.sleep(0.01)
        elif self.name == "moved-away":
            client.sendall(b"".join(answer(307, b"", b"Location: http://elsewhere.example/x\r\n")))
        elif self.name == "moved-around":
            region = b"nowhere-%d" % (self.requests % 7)
            client.sendall(b"".join(answer(301, b"", b"x-amz-bucket-region: %s\r\n" % region)))
            return True
        elif self.name == "status-403-silent":
            client.sendall(b"".join(answer(403, b"")))
            return True
        elif number:
            xml = SLOW_DOWN if number == "503" else b"<html>"
            client.sendall(b"".join(answer(int(number), b"" if head.startswith(b"HEAD") else xml)))
            return True
        return False

    @staticmethod
    def body_size(head):
        found = re.search(rb"(?im)^content-length: *(\d+)", head)
        return int(found.group(1)) if found else 0

    def spoil(self, client, asked, head, body):
        """Faults that change what the gateway said."""
        listing = b"<ListBucketResult" in body[:200]
        name, _, number = self.name.partition("-")
        if name == "rate":
            self.rate.wait(len(asked) + self.body_size(asked))
            whole = head + body
            for at in range(0, len(whole), 8192):
                self.rate.wait(len(whole[at:at + 8192]))
                client.sendall(whole[at:at + 8192])
            return True
        if name == "reset":
            client.sendall((head + body)[:int(number)])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if name == "cut":
            client.sendall((head + body)[:int(number)])
            return False
        if name == "delay":
            time.sleep(int(number) / 1000)
        elif self.name == "garble-head":
            head = bytes(c ^ 1 if i % 37 == 36 else c for i, c in enumerate(head))
        elif self.name == "garble-body" and body:
            at = len(body) // 2
            body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]
        elif self.name == "error-in-200":
            head, body = answer(200, b"" if asked.startswith(b"HEAD") else SLOW_DOWN)
        elif self.name == "length-more":
            client.sendall(with_length(head, len(body) + 10) + body)
            return False
        elif self.name == "length-less" and len(body) > 10:
            head = with_length(head, len(body) - 10)
        elif self.name == "stall-body":
            client.sendall(head + body[:len(body) // 2])
            time.sleep(60)
            return False
        elif name == "drip":
            for i in range(len(head + body)):
                client.sendall((head + body)[i:i + 1])
                time.sleep(1 / int(number or 20))
        elif self.name == "garble-xml" and listing:
            body = b"".join(bytes([c ^ 4]) if i % 29 == 28 else bytes([c]) for i, c in enumerate(body))
        elif self.name == "etag-none":
            head = re.sub(rb"(?im)^etag:.*?\r\n", b"", head)
        elif self.name == "etag-long":
            head = re.sub(rb'(?im)^etag: *"', b'ETag: "' + b"0" * 80, head)
        elif name == "date":
            when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + int(number)))
            head = re.sub(rb"(?im)^date:.*?\r\n", b"Date: %s\r\n" % when.encode(), head)
        elif self.name == "no-date":
            head = re.sub(rb"(?im)^(date|last-modified):.*?\r\n", b"", head)
        elif self.name == "lag" and listing:  # nothing new is listed yet
            body = re.sub(rb"<Contents>.*</Contents>", b"", body, flags=re.S)
            head = with_length(head, len(body))
        elif self.name == "truncated-xml" and listing:
            body = body[:len(body) * 2 // 3]
            head = with_length(head, len(body))
        elif self.name == "list-forever" and listing:
            body = body.replace(b"<IsTruncated>false<",
                                b"<NextContinuationToken>x</NextContinuationToken><IsTruncated>true<")
            head = with_length(head, len(body))
        elif self.name == "list-backwards" and listing:
            parts = re.findall(rb"<Contents>.*?</Contents>", body, re.S)
            body = body.replace(b"".join(parts), b"".join(reversed(parts)))
        elif self.name == "wrong-range":
            head = re.sub(rb"(?im)^content-range: bytes \d+-", b"Content-Range: bytes 0-", head)
        elif self.name == "twice":
            client.sendall(head + body)
        if name != "drip":
            client.sendall(head + body)
        return True


class Storm(Fault):
    """One port whose fault changes. A connection that is closed meanwhile is the client's to bear."""
    def __init__(self, port):
        self.now, self.befallen, self.counting = Fault("none", ("127.0.0.1", port), False), {}, threading.Lock()
        super().__init__("none", ("127.0.0.1", port))

    def change(self, text):
        self.now = Fault(text, self.upstream, False)
        self.now.port = self.port

    def once(self, client, head, body):
        now = self.now
        with self.counting:
            self.befallen[now.name] = self.befallen.get(now.name, 0) + 1
        return now.once(client, head, body)


def begin(port):
    """Starts all faults before a gateway on this port: {name: Fault}."""
    return {name: Fault(name, ("127.0.0.1", port)) for name in FAULTS}
