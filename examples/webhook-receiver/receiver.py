"""Listens for webhooks, verifies them, and prints what is new.

    WEBHOOK_SECRET=whsec_... PORT=9000 python3 receiver.py
"""

import base64
import hmac
import json
import os
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

SECRET = os.environ["WEBHOOK_SECRET"]
PORT = int(os.environ.get("PORT", "9000"))
SECONDS_APART = 300


def is_signed(headers, body):
    """Whether a message was signed with the secret, and lately. `body` is what came, byte for byte."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not re.fullmatch("[0-9]{1,12}", timestamp) or abs(time.time() - int(timestamp)) > SECONDS_APART:
        return False
    key = base64.b64decode(SECRET.replace("whsec_", ""))
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    right = b"v1," + base64.b64encode(digest)
    signatures = headers.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(signature, right) for signature in signatures)


newest = {}
"""The number of the newest event of each order. Keep it in your database, beside the order."""

lock = Lock()


def take(event):
    """Tells each change of an order once, and none that is older than what is known of it."""
    if event["type"] != "order.updated":
        print(event["type"], json.dumps(event["data"]), flush=True)
        return
    order = event["data"]["order"]
    key, number = order.get("uid") or order.get("order_id"), int(event["id"].removeprefix("evt_"))
    with lock:
        if number <= newest.get(key, 0):
            return
        newest[key] = number
    print(event["id"], order.get("status") or order.get("order_state"), flush=True)


class Receiver(BaseHTTPRequestHandler):
    timeout = 10

    def do_POST(self):
        length = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(length) if length <= 65_536 else b""
        taken = is_signed(self.headers, body)
        if taken:
            take(json.loads(body))
        self.send_response(204 if taken else 401)
        self.end_headers()

    def log_message(self, *arguments):
        """Says nothing: a line for each call helps nobody."""


server = ThreadingHTTPServer(("127.0.0.1", PORT), Receiver)
print("listening", flush=True)
server.serve_forever()
