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
from clusters.models import MAX_REACH_WORDS, Cluster
from sdm.contract.address import Address
from sdm.pki import chain
from sdm.pki.csr import UNREADABLE
from sdm.pki.names import Kind

Reach = Cluster.Reach

# For each step.
PATIENCE = 5.0
# What OpenSSL makes of a peer that goes before it has said anything depends on how quick it was.
_HUNG_UP = (ssl.SSLEOFError, ssl.SSLSyscallError, ssl.SSLZeroReturnError)


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
            raise _Failed(Reach.TLS, _without_tls(address, error)) from error
    try:
        return x509.load_der_x509_certificate(der or b"")
    except ValueError as error:
        raise _Failed(Reach.CERTIFICATE, _unreadable(address)) from error


def _without_tls(address: Address, error: Exception) -> str:
    """Why there is no TLS, and what of a worker's or a balancer's settings leads to that."""
    if isinstance(error, TimeoutError):
        return (
            f"Something accepts connections at {address}, and then says nothing. It does not seem to be a worker: "
            "correct the address, or look whether the balancer there passes TCP on to one."
        )
    reason = error.reason or "" if isinstance(error, ssl.SSLError) else ""
    if "ALERT" in reason:
        return (
            f"Something speaks TLS at {address}, and refuses the control plane ({reason.lower().replace('_', ' ')}). "
            "A worker would not: another server, or a balancer with rules of its own, answers there."
        )
    if isinstance(error, ssl.SSLError) and not isinstance(error, _HUNG_UP):
        return (
            f"Something answers at {address}, and not in TLS. If it is a worker with SDM_TLS_CERT_SOURCE=none, "
            "advertise the balancer that ends TLS before it instead, or remove that setting. Otherwise another server "
            "answers there: correct the address."
        )
    return (
        f"Something accepts connections at {address}, and hangs up before TLS begins. A worker does that when it "
        "expects a PROXY header from where the control plane is: name only the balancers in its "
        "SDM_PROXY_PROTOCOL_TRUSTED. A worker with SDM_TLS_CERT_SOURCE=none does it without a balancer that ends TLS "
        "before it, and a balancer while it knows of no healthy worker."
    )


def _unreadable(address: Address) -> str:
    return (
        f"What answers at {address} shows a certificate that cannot be read. It is no certificate of this control "
        "plane: correct the address, or what the worker's SDM_TLS_CERT_FILE or the balancer shows."
    )


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
    except (chain.Unreadable, chain.IsAuthority, chain.UnknownAuthority):
        return _stranger(address, leaf, at)
    except chain.WrongIdentity:
        words = f"A worker of another cluster answers at {address}. Correct the address, or the balancer behind it."
        return Finding(Reach.CLUSTER, words)
    except chain.Expired as error:
        words = (
            f"A worker answers at {address}, cut off from this control plane. {error} Workers renew theirs in time: "
            "look into its log, and start it anew."
        )
        return Finding(Reach.CERTIFICATE, words)
    except chain.Untrusted as error:
        words = (
            f"What answers at {address} has a certificate of this control plane that is not accepted. {error}"
        )
        return Finding(Reach.CERTIFICATE, words[:MAX_REACH_WORDS])
    return Finding(Reach.GOOD, f"A worker of this cluster answers at {address}.")


def _stranger(address: Address, leaf: x509.Certificate, at: dt.datetime) -> Finding:
    """None of our authorities made this: a worker's own file, a balancer's, or somebody else's altogether."""
    try:
        begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        itself = leaf.issuer == leaf.subject
    except UNREADABLE:
        return Finding(Reach.CERTIFICATE, _unreadable(address))
    shows = f"What answers at {address} shows a certificate that this control plane did not make"
    if at > ends or at < begins:
        when = (
            f"expired on {ends:%Y-%m-%d %H:%M} UTC" if at > ends else f"begins on {begins:%Y-%m-%d %H:%M} UTC"
        )
        words = (
            f"{shows}, and that {when}. If it is a worker with SDM_TLS_CERT_SOURCE=file, or a balancer that ends TLS, "
            "replace it there. Otherwise another server answers: correct the address."
        )
        return Finding(Reach.CERTIFICATE, words)
    words = (
        f"{shows}{': it is signed by itself' if itself else ''}. That is as it should be where a worker has "
        "SDM_TLS_CERT_SOURCE=file, or a balancer ends TLS. Otherwise another server answers: correct the address."
    )
    return Finding(Reach.FOREIGN, words)
