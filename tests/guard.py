"""Tests keep to this machine: a connection or a look-up that would leave it fails the test that made it."""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES_OF_THIS_MACHINE = {"", "localhost", "testserver", socket.gethostname()}


def stays_here(host: object) -> bool:
    """Whether `host`, as given to the socket module, is this machine."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
    if name in NAMES_OF_THIS_MACHINE:
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def check(host: object) -> None:
    if not stays_here(host):
        # Not an OSError: code that shrugs at an unreachable network must not shrug at this.
        pytest.fail(f"tests use no network, and this one wanted {host!r}")


@contextmanager
def loopback_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo))
        yield


def _guarded(original: Any) -> Any:
    def guarded(self: socket.socket, *args: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            check(args[-1][0])  # the address is the last argument of all three
        return original(self, *args)

    return guarded


def _guarded_lookup(original: Any) -> Any:
    def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
        # An address is not looked up, and a worker's or a resource's may be any.
        if not _is_address(host):
            check(host)
        return original(host, *args, **kwargs)

    return guarded


def _is_address(host: Any) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
