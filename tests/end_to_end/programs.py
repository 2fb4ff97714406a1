"""Programs of Debian that stand around the product: a balancer, a web server."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.house.checkout import ROOT, free_port
from tests.worker.processes import until


def start(
    command: Sequence[str], log: Path, environment: Mapping[str, str] = os.environ
) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen(
            command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


def accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Balancer:
    """HAProxy, which hands connections to whichever of these ports takes them."""

    def __init__(self, directory: Path, ports: Sequence[int]) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        # The path of a Unix socket is short.
        self._socket = Path(tempfile.mkdtemp(prefix="hap-")) / "admin"
        servers = "".join(f"  server w{port} 127.0.0.1:{port}\n" for port in ports)
        config = directory / "haproxy.cfg"
        config.write_text(
            f"global\n  stats socket {self._socket} mode 600\n"
            "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 1h\n  timeout server 1h\n"
            f"  retries 3\n  option redispatch 1\nlisten workers\n  bind {self.address}\n"
            "  default-server check inter 200ms fastinter 100ms fall 1 rise 1\n" + servers
        )
        self._process = start(["haproxy", "-q", "-db", "-f", str(config)], directory / "haproxy.log")
        until(lambda: accepts(self.address))

    def wait_for(self, port: int) -> None:
        """Until it knows that somebody is there."""
        until(lambda: self._state(port) == "UP")

    def _state(self, port: int) -> str:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(os.fspath(self._socket))
            sock.sendall(b"show stat\n")
            shown = b"".join(iter(lambda: sock.recv(1 << 16), b"")).decode()
        names, *rows = (line.split(",") for line in shown.splitlines() if line)
        return next((row[names.index("status")] for row in rows if row[1] == f"w{port}"), "")

    def end(self) -> None:
        stop(self._process)
        self._socket.unlink(missing_ok=True)
        self._socket.parent.rmdir()


class Website:
    """nginx with pages, an upload that says how much came, redirects, a password, and a WebSocket of `tail`."""

    def __init__(self, directory: Path, *, socket_port: int, password_file: str) -> None:
        self.root = directory
        self.port = free_port()
        (directory / "passwords").write_text(password_file)
        config = directory / "nginx.conf"
        config.write_text(_NGINX.format(directory=directory, port=self.port, socket_port=socket_port))
        command = ["nginx", "-e", str(directory / "error.log"), "-c", str(config), "-p", str(directory)]
        self._process = start(command, directory / "nginx.log")
        until(lambda: accepts(f"127.0.0.1:{self.port}"), explain=(directory / "nginx.log").read_text)

    @property
    def log(self) -> str:
        """A line a request: method, path, status, Authorization, Cookie and Host."""
        return (self.root / "access.log").read_text()

    def end(self) -> None:
        stop(self._process)


_NGINX = """
daemon off;
worker_processes 1;
user root;
pid {directory}/nginx.pid;
events {{ worker_connections 256; }}
http {{
  default_type application/octet-stream;
  types {{ text/html html; text/css css; text/javascript js; image/svg+xml svg; }}
  log_format all '$request_method $request_uri $status [$http_authorization] [$http_cookie] [$http_host]';
  access_log {directory}/access.log all;
  client_body_temp_path {directory}/bodies;
  client_max_body_size 1g;
  proxy_temp_path {directory}/proxied;
  proxy_http_version 1.1;
  fastcgi_temp_path {directory}/f;
  uwsgi_temp_path {directory}/u;
  scgi_temp_path {directory}/s;
  server {{
    listen 127.0.0.1:{port};
    root {directory}/pages;
    location = /old {{ return 302 /index.html; }}
    location = /away {{ return 302 http://127.0.0.1:{port}/index.html; }}
    location = /upload {{
      proxy_pass http://127.0.0.1:{socket_port};
      proxy_request_buffering off;
    }}
    location ~ ^/(drip|silent)$ {{
      proxy_pass http://127.0.0.1:{socket_port};
      proxy_buffering off;
    }}
    location = /private {{
      auth_basic "private";
      auth_basic_user_file {directory}/passwords;
      try_files /private.html =404;
    }}
    location = /socket {{
      proxy_pass http://127.0.0.1:{socket_port};
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
    }}
  }}
}}
"""
