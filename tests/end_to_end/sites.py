"""What is behind the web server: pages with their assets, and a program that takes uploads and speaks WebSocket."""

import base64
import hashlib
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LARGE = 200_000_000
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Wiki</title>
<link rel="stylesheet" href="/style.css"><link rel="icon" href="data:,">
<h1>Wiki</h1><img src="/picture.svg" alt="A picture"><p id="said">Nothing yet</p>
<script src="/script.js"></script></html>
"""
_SCRIPT = """const socket = new WebSocket(`ws://${location.host}/socket`);
socket.onopen = () => socket.send("hello from a page");
socket.onmessage = (event) => { document.getElementById("said").textContent = event.data; };
socket.onclose = (event) => { document.title = `closed: ${event.code} ${event.reason}`; };
"""
_PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><circle cx="32" cy="32" r="30"/></svg>'
)
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def fill(pages: Path) -> None:
    pages.mkdir()
    (pages / "index.html").write_text(_PAGE)
    (pages / "private.html").write_text("Only for those who know the word.\n")
    (pages / "style.css").write_text("h1 { color: rgb(1, 2, 3); }\n")
    (pages / "script.js").write_text(_SCRIPT)
    (pages / "picture.svg").write_text(_PICTURE)
    with (pages / "large").open("wb") as large:
        large.truncate(LARGE)  # of zeros, which need no disk


def password_file(name: str, password: str) -> str:
    """As nginx reads it."""
    command = ["openssl", "passwd", "-apr1", "-stdin"]
    hashed = subprocess.run(command, input=password, capture_output=True, text=True, check=True).stdout
    return f"{name}:{hashed}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """How much came, and its hash."""
        digest, length = hashlib.sha256(), 0
        for data in self._body():
            digest.update(data)
            length += len(data)
        self._answer(f"{length} {digest.hexdigest()}\n".encode())

    def do_GET(self) -> None:
        if self.path == "/drip":
            self._drip()
        elif self.path == "/silent":
            self.rfile.read(1)
        else:
            self._converse(self.headers["Sec-WebSocket-Key"])

    def _drip(self) -> None:
        """An answer that takes a minute."""
        self.send_response(200)
        self.send_header("Content-Length", "600")
        self.end_headers()
        with suppress(OSError):  # nobody waits for it
            for _ in range(600):
                self.wfile.write(b".")
                self.wfile.flush()
                time.sleep(0.1)

    def _converse(self, key: str) -> None:
        accept = hashlib.sha1(key.encode() + _ACCEPT, usedforsecurity=False).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        while (text := self._frame()) is not None:
            answer = b"heard: " + text + b" at " + (self.headers["Origin"] or "").encode()
            self.wfile.write(bytes([0x81, len(answer)]) + answer)
            self.wfile.flush()

    def _frame(self) -> bytes | None:
        """A short text; None at the end (RFC 6455, 5.2)."""
        head = self.rfile.read(2)
        if len(head) < 2 or head[0] & 0x0F != 1:
            return None
        mask = self.rfile.read(4)
        return bytes(byte ^ mask[place % 4] for place, byte in enumerate(self.rfile.read(head[1] & 0x7F)))

    def _body(self) -> Iterator[bytes]:
        if self.headers["Transfer-Encoding"] == "chunked":
            while length := int(self.rfile.readline(), 16):
                yield self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers["Content-Length"] or 0)
        while left and (data := self.rfile.read(min(left, 1 << 16))):
            left -= len(data)
            yield data

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """The web server before it keeps a log."""


@contextmanager
def backend() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
