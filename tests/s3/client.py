# SPDX-License-Identifier: MIT
"""Objects put into a bucket and taken out of it, by requests signed here: what a pipeline's data comes from."""
import datetime
import hashlib
import hmac
import http.client
import re
import urllib.parse

import gateway


def hmac_of(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Client:
    def __init__(self, g, bucket, key_id=gateway.KEY_ID):
        self.host, self.port = "127.0.0.1", g.port
        self.bucket, self.key_id = bucket, key_id

    def request(self, method, key="", body=b"", query="", service="s3"):
        path = "/" + self.bucket + ("/" + urllib.parse.quote(key, safe="/~") if key else "") if service == "s3" else "/"
        now = datetime.datetime.now(datetime.timezone.utc)
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        payload = hashlib.sha256(body).hexdigest()
        host = f"{self.host}:{self.port}"
        signed = "host;x-amz-content-sha256;x-amz-date"
        canonical = f"{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{payload}\nx-amz-date:{stamp}\n\n{signed}\n{payload}"
        scope = f"{day}/us-east-1/{service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        secret = ("AWS4" + gateway.SECRET).encode()
        for part in (day, "us-east-1", service, "aws4_request"):
            secret = hmac_of(secret, part)
        signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        headers = {"x-amz-content-sha256": payload, "x-amz-date": stamp,
                   "Authorization": f"AWS4-HMAC-SHA256 Credential={self.key_id}/{scope}, SignedHeaders={signed}, "
                                    f"Signature={signature}"}
        c = http.client.HTTPConnection(self.host, self.port, timeout=30)
        c.request(method, path + ("?" + query if query else ""), body=body, headers=headers)
        answer = c.getresponse()
        got = answer.read()
        c.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {got[:300]!r}")
        return got

    def assume(self, role):
        """Keys for a quarter of an hour: (id, secret, token)."""
        form = urllib.parse.urlencode({"Action": "AssumeRole", "RoleArn": role, "RoleSessionName": "test",
                                       "DurationSeconds": "900", "Version": "2011-06-15"}).encode()
        answer = self.request("POST", body=form, service="sts").decode()
        return tuple(re.search(f"<{name}>(.*?)</{name}>", answer)[1]
                     for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))

    def make(self):
        self.request("PUT")

    def put(self, key, body):
        self.request("PUT", key, body if isinstance(body, bytes) else body.encode())

    def drop(self, key):
        self.request("DELETE", key)
