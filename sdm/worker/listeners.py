"""The sockets that a worker listens on. Bound before anything else, so that a wrong address ends the start."""

import socket
from dataclasses import dataclass

from sdm.worker.config import Config, Listen


class CannotBind(Exception):
    """An address is taken, or not this machine's; the message names it."""


@dataclass(frozen=True, slots=True)
class Listeners:
    # Bound, and listening only when there is a certificate to show: until then peers are refused, not kept waiting.
    clients: socket.socket
    probes: socket.socket | None
    metrics: socket.socket | None

    def close_all_but_clients(self) -> None:
        for sock in (self.probes, self.metrics):
            if sock is not None:
                sock.close()

    def close(self) -> None:
        self.clients.close()
        self.close_all_but_clients()

    def name(self) -> str:
        host, port = self.clients.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(config: Config) -> Listeners:
    bound: list[socket.socket] = []
    try:
        clients = _bind(config.bind, "SDM_BIND_ADDRESS")
        bound.append(clients)
        probes = _listen(config.probes, "SDM_ORCHESTRATOR_PROBES", bound)
        metrics = _listen(config.metrics, "SDM_METRICS_LISTEN_ADDRESS", bound)
    except CannotBind:
        for sock in bound:
            sock.close()
        raise
    return Listeners(clients, probes, metrics)


def _listen(where: Listen | None, setting: str, bound: list[socket.socket]) -> socket.socket | None:
    if where is None:
        return None
    sock = _bind(where, setting)
    bound.append(sock)
    sock.listen()
    return sock


def _bind(where: Listen, setting: str) -> socket.socket:
    everywhere = not where.host
    try:
        family, address = _resolve(where)
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if everywhere else 1)
            sock.bind(address)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise CannotBind(f"{setting}={str(where)!r}: cannot listen there: {error.strerror}.") from None
    sock.setblocking(False)
    return sock


def _resolve(where: Listen) -> tuple[int, tuple[str, int]]:
    if not where.host:
        # Nothing given means everywhere, as the setting's page says.
        everywhere = (socket.AF_INET6, "::") if _has_ipv6() else (socket.AF_INET, "0.0.0.0")  # noqa: S104
        return everywhere[0], (everywhere[1], where.port)
    found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)[0]
    return found[0], (str(found[4][0]), where.port)


def _has_ipv6() -> bool:
    """Both families on one socket, where the machine has IPv6 at all."""
    return socket.has_dualstack_ipv6()
