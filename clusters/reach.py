"""Whether a cluster's advertised address answers, tried from the control plane step by step.

Only the address that an administrator wrote down is tried, with a TLS handshake and nothing more: no byte is sent
to what answers, none of what it says is shown, and each wait has an end.
"""

import datetime as dt
import socket
import ssl
import threading
from dataclasses import dataclass

from cryptography import x509
from django.utils import timezone

from authority.models import Purpose
from authority.selectors import trusted
from clusters.models import Cluster
from sdm.contract.address import Address
from sdm.pki import chain
from sdm.pki.names import Kind

Reach = Cluster.Reach

# For each step.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    reach: Cluster.Reach
    words: str


class _Failed(Exception):
    def __init__(self, reach: Cluster.Reach, words: str) -> None:
        super().__init__(words)
        self.finding = Finding(reach, words)


def reach_check(cluster: Cluster) -> Finding:
    """Try it, and keep what was found for the pages."""
    finding = probe(Address.parse(cluster.address), cluster_id=cluster.pk)
    Cluster.objects.filter(pk=cluster.pk, address=cluster.address).update(
        reach=finding.reach, reach_words=finding.words, reach_at=timezone.now()
    )
    return finding


def probe(address: Address, *, cluster_id: str) -> Finding:
    try:
        found = _look_up(address)
        leaf = _handshake(address, found)
    except _Failed as failed:
        return failed.finding
    return _judge(address, leaf, cluster_id, timezone.now())


_Found = tuple[socket.AddressFamily, tuple[object, ...]]


def _look_up(address: Address) -> list[_Found]:
    """In a thread that is left behind when it takes too long: looking up has no time limit of its own."""
    found: list[_Found] = []

    def look() -> None:
        try:
            rows = socket.getaddrinfo(
                address.host.strip("[]"), address.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
        except (OSError, UnicodeError):
            return
        found.extend((row[0], row[4]) for row in rows)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not found:
        raise _Failed(
            Reach.DNS,
            f"The name {address.host} is not found from the control plane. Add it to DNS, or correct the address.",
        )
    return found


def _handshake(address: Address, found: list[_Found]) -> x509.Certificate:
    with _connect(address, found) as plain:
        plain.settimeout(PATIENCE)
        host = address.host.strip("[]")
        try:
            with _anybody().wrap_socket(plain, server_hostname=host) as encrypted:
                der = encrypted.getpeercert(binary_form=True)
        except (OSError, ValueError) as error:
            raise _Failed(
                Reach.TLS,
                f"Something accepts connections at {address}, and does not speak TLS. Is it a worker, or a balancer "
                "that passes TCP through to one?",
            ) from error
    try:
        return x509.load_der_x509_certificate(der or b"")
    except ValueError as error:
        raise _Failed(Reach.CERTIFICATE, f"What answers at {address} shows no usable certificate.") from error


def _connect(address: Address, found: list[_Found]) -> socket.socket:
    for family, place in found[:4]:
        plain = socket.socket(family, socket.SOCK_STREAM)
        plain.settimeout(PATIENCE)
        try:
            plain.connect(place)
        except OSError:
            plain.close()
        else:
            return plain
    raise _Failed(
        Reach.TCP,
        f"Nothing accepts connections at {address} as seen from the control plane. Does a worker or a balancer listen "
        "there, and does a firewall let it through?",
    )


def _anybody() -> ssl.SSLContext:
    """Takes any certificate: it is judged afterwards, by our rules and in words."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _judge(address: Address, leaf: x509.Certificate, cluster_id: str, at: dt.datetime) -> Finding:
    authorities = chain.trust(Kind.WORKER, trusted(Purpose.WORKER))
    try:
        authorities.verify_worker(leaf, cluster_id=cluster_id, at=at)
    except chain.UnknownAuthority:
        return Finding(
            Reach.FOREIGN,
            f"{address} answers with a certificate that was not made here. That is right where workers use files of "
            "their own, or a balancer ends TLS; otherwise something else answers there.",
        )
    except chain.WrongIdentity:
        words = f"A worker of another cluster answers at {address}. Correct the address, or the balancer behind it."
        return Finding(Reach.CLUSTER, words)
    except chain.Untrusted as error:
        words = f"A worker answers at {address} with a certificate that is not accepted: {error}"
        return Finding(Reach.CERTIFICATE, words[:300])
    return Finding(Reach.GOOD, f"A worker of this cluster answers at {address}.")
