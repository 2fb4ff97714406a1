"""Through load balancers: as plain TCP, with a PROXY header, and where they end TLS."""

import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sdm.contract.reasons import Reason
from tests.worker import balancers, echo
from tests.worker.clients import Answer, Person, raw_target, read_answer
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import ControlPlane, client_context
from tests.worker.forwarding import forwarded
from tests.worker.processes import Worker, is_the_answer, read_all, request

pytestmark = pytest.mark.process

Balance = Callable[[Path, str], AbstractContextManager[int]]

HAPROXY_TCP = """
listen clients
    mode tcp
    bind 127.0.0.1:{{port}}
    server worker 127.0.0.1:{worker}{options}
"""
HAPROXY_HTTP = """
frontend clients
    mode http
    bind 127.0.0.1:{{port}} ssl crt {{pem}}
    option forwardfor
    default_backend workers
backend workers
    mode http
    server worker 127.0.0.1:{worker}{options}
"""
NGINX_TCP = """
stream {{{{
    server {{{{
        listen 127.0.0.1:{{port}};
        proxy_pass 127.0.0.1:{worker};
        {options}
    }}}}
}}}}
"""
NGINX_HTTP = """
http {{{{
    access_log off;
    client_body_temp_path {{directory}};
    proxy_temp_path {{directory}};
    fastcgi_temp_path {{directory}};
    uwsgi_temp_path {{directory}};
    scgi_temp_path {{directory}};
    server {{{{
        listen 127.0.0.1:{{port}} ssl;
        ssl_certificate {{cert}};
        ssl_certificate_key {{key}};
        location / {{{{
            proxy_pass http://127.0.0.1:{worker};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_read_timeout 1h;
        }}}}
    }}}}
}}}}
"""
WITHOUT_TLS = {"SDM_TLS_CERT_SOURCE": "none", "SDM_TLS_CLIENT_AUTH": "none"}
LOOPBACK = "127.0.0.0/8"


@pytest.fixture
def started(start: StartWorker) -> Callable[..., Worker]:
    def begin(**settings: str) -> Worker:
        worker = start(SDM_WORKERS="2", **settings)
        worker.port()
        worker.until(lambda: "Connected" in worker.log)
        return worker

    return begin


def works(sock: socket.socket) -> bool:
    data = b"through a balancer" * 20_000
    sock.sendall(data)
    found = b""
    while len(found) < len(data) and (more := sock.recv(1 << 16)):
        found += more
    return found == data


def through_tls_of_its_own(
    person: Person, port: int, resource_id: str, **how: object
) -> tuple[ssl.SSLSocket, Answer]:
    """A balancer that ends TLS asks nobody for a certificate."""
    sock = client_context().wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10))
    person.plane.opened.append(sock)
    sock.sendall(person.request(resource_id, **how))  # type: ignore[arg-type]
    return sock, read_answer(sock)


@pytest.mark.parametrize(
    ("balance", "body", "options"),
    [
        (balancers.haproxy, HAPROXY_TCP, ""),
        (balancers.nginx, NGINX_TCP, ""),
    ],
    ids=["haproxy", "nginx"],
)
def test_a_balancer_that_passes_tcp_on(
    balance: Balance,
    body: str,
    options: str,
    started: Callable[..., Worker],
    plane: ControlPlane,
    alice: Person,
    resource: str,
    tmp_path: Path,
):
    worker = started()
    with balance(tmp_path, body.format(worker=worker.port(), options=options)) as port:
        assert is_the_answer(request(port))
        assert works(alice.tunnel(port, resource))
        assert works(alice.tunnel(port, resource, upgrade=False))


@pytest.mark.parametrize(
    ("balance", "body", "options"),
    [
        (balancers.haproxy, HAPROXY_TCP, " send-proxy"),
        (balancers.haproxy, HAPROXY_TCP, " send-proxy-v2"),
        (balancers.nginx, NGINX_TCP, "proxy_protocol on;"),
    ],
    ids=["haproxy version 1", "haproxy version 2", "nginx"],
)
def test_a_balancer_that_says_for_whom_it_speaks(
    balance: Balance,
    body: str,
    options: str,
    started: Callable[..., Worker],
    plane: ControlPlane,
    alice: Person,
    resource: str,
    tmp_path: Path,
):
    worker = started(SDM_PROXY_PROTOCOL_TRUSTED=LOOPBACK)
    with (
        balance(tmp_path, body.format(worker=worker.port(), options=options)) as port,
        socket.socket() as elsewhere,
    ):
        # All of 127.0.0.0/8 is this machine.
        elsewhere.bind(("127.0.0.9", 0))
        elsewhere.settimeout(10)
        elsewhere.connect(("127.0.0.1", port))
        with alice.context().wrap_socket(elsewhere) as tunnel:
            tunnel.sendall(alice.request(resource))
            assert read_answer(tunnel).status == 101
            assert works(tunnel)
    assert [lease.client_address for lease in plane.leases] == ["127.0.0.9"]


@pytest.mark.parametrize(
    ("balance", "body", "options", "settings"),
    [
        (balancers.haproxy, HAPROXY_HTTP, "", {"SDM_FORWARDED_FOR_TRUSTED": LOOPBACK}),
        (balancers.haproxy, HAPROXY_HTTP, " send-proxy-v2", {"SDM_PROXY_PROTOCOL_TRUSTED": LOOPBACK}),
        (balancers.nginx, NGINX_HTTP, "", {"SDM_FORWARDED_FOR_TRUSTED": LOOPBACK}),
    ],
    ids=["haproxy", "haproxy with PROXY", "nginx"],
)
def test_a_balancer_that_ends_tls(
    balance: Balance,
    body: str,
    options: str,
    settings: dict[str, str],
    started: Callable[..., Worker],
    plane: ControlPlane,
    alice: Person,
    resource: str,
    tmp_path: Path,
):
    worker = started(**WITHOUT_TLS, **settings)
    with balance(tmp_path, body.format(worker=worker.port(), options=options)) as port:
        sock, answer = through_tls_of_its_own(alice, port, resource, extra="X-Forwarded-For: 192.0.2.99\r\n")
        assert answer.status == 101
        assert works(sock)
        # What a client says of itself is not believed.
        assert [lease.client_address for lease in plane.leases] == ["127.0.0.1"]
        _, answer = through_tls_of_its_own(alice, port, resource, token="garbage")
        assert (answer.status, answer.reason) == (401, Reason.BAD_TICKET)
        _, answer = through_tls_of_its_own(alice, port, "rs-0123456789abcdef")
        assert (answer.status, answer.reason) == (403, Reason.NO_ACCESS)


def test_nobody_else_is_believed_for_whom_they_speak(
    started: Callable[..., Worker], plane: ControlPlane, alice: Person, resource: str
):
    port = started(SDM_FORWARDED_FOR_TRUSTED="10.0.0.0/8").port()
    assert works(alice.tunnel(port, resource, extra="X-Forwarded-For: 192.0.2.99\r\n"))
    assert plane.leases[-1].client_address == "127.0.0.1"


@pytest.mark.parametrize(
    ("balance", "body", "settings"),
    [
        (balancers.haproxy, HAPROXY_TCP, {}),
        (balancers.nginx, NGINX_TCP, {}),
        (balancers.haproxy, HAPROXY_HTTP, WITHOUT_TLS),
    ],
    ids=["haproxy", "nginx", "haproxy that ends TLS"],
)
def test_one_direction_ends_through_a_balancer(
    balance: Balance,
    body: str,
    settings: dict[str, str],
    started: Callable[..., Worker],
    plane: ControlPlane,
    alice: Person,
    tmp_path: Path,
):
    """nginx closes both at the end of one, unless told otherwise: it does not see the one within TLS."""

    def answer_at_the_end(sock: socket.socket) -> None:
        found = read_all(sock)
        time.sleep(0.3)
        sock.sendall(b"%d bytes" % len(found))

    worker = started(**settings)
    with (
        echo.server(answer_at_the_end) as there,
        balance(tmp_path, body.format(worker=worker.port(), options="")) as port,
        forwarded(alice, port, raw_target(plane, there)) as forwarding,
        socket.create_connection(("127.0.0.1", forwarding.port), timeout=10) as sock,
    ):
        sock.sendall(bytes(1_000_000))
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b"1000000 bytes"


@pytest.mark.parametrize(
    ("balance", "body", "settings"),
    [
        (balancers.haproxy, HAPROXY_TCP, {}),
        (balancers.nginx, NGINX_TCP, {}),
        (balancers.haproxy, HAPROXY_HTTP, WITHOUT_TLS),
        (balancers.nginx, NGINX_HTTP, WITHOUT_TLS),
    ],
    ids=["haproxy", "nginx", "haproxy that ends TLS", "nginx that ends TLS"],
)
def test_what_breaks_off_is_told_from_what_ends_through_a_balancer(
    balance: Balance,
    body: str,
    settings: dict[str, str],
    started: Callable[..., Worker],
    plane: ControlPlane,
    alice: Person,
    tmp_path: Path,
):
    worker = started(**settings)
    said = bytes(200_000)

    def answer(sock: socket.socket) -> None:
        breaks_off = sock.recv(1) == b"x"
        sock.sendall(said)
        if breaks_off:
            time.sleep(0.2)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with (
        echo.server(answer) as there,
        balance(tmp_path, body.format(worker=worker.port(), options="")) as port,
        forwarded(alice, port, raw_target(plane, there)) as forwarding,
    ):
        assert heard(forwarding.port, b".") == (said, True)
        found, is_ended = heard(forwarding.port, b"x")
        assert found == said
        # Who ends TLS may say the end of that by itself, whatever has become of what it passes on.
        assert not is_ended or settings == WITHOUT_TLS


def heard(port: int, asked: bytes) -> tuple[bytes, bool]:
    """What came, and whether it was ended and not broken off."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(asked)
        try:
            while data := sock.recv(1 << 16):
                found += data
        except ConnectionResetError:
            return found, False
    return found, True
