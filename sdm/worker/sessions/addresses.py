"""Where a client is, behind a balancer that ends TLS and says so in a header."""

import ipaddress
from collections.abc import Sequence

from sdm.worker.config import Network


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """`peer`, or for whom it speaks, if it is trusted: the last address, which it has added itself."""
    if not forwarded_for or not any(ipaddress.ip_address(peer) in network for network in trusted):
        return peer
    try:
        return str(ipaddress.ip_address(forwarded_for.rpartition(",")[2].strip()))
    except ValueError:
        return peer
