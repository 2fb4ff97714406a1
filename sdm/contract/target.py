"""Where a worker may connect on behalf of people: any host but those that are nobody's server.

The loopback addresses are allowed, because a worker may run beside what it serves. Link-local addresses are
not: that is where clouds hand out a machine's own credentials.
"""

import ipaddress
import re

from sdm.contract.address import canonical_host, has_ambiguous_zeros, is_dotted_quad

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Names under which clouds answer at a link-local address.
_METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"}
)
# And where they do outside of it: Amazon, Google, Oracle, Alibaba, and Azure's host.
_METADATA_ADDRESSES = frozenset(
    map(
        ipaddress.ip_address,
        ("fd00:ec2::254", "fd20:ce::254", "192.0.0.192", "100.100.100.200", "168.63.129.16"),
    )
)
_METADATA = "This is the metadata service of a cloud. It hands out the worker's own credentials."
# RFC 6052: the last 32 bits are an IPv4 address that a gateway connects to.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# `2852039166` and `0xa9fea9fe` are addresses too, to programs that ask the C library.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


def canonical_target(text: str) -> str:
    """The host of a resource in canonical form; ValueError with a sentence when none can be there."""
    host = canonical_host(text)
    address = _literal(host)
    if address is not None and (reason := why_not(address)):
        raise ValueError(reason)
    if address is None and _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        raise ValueError("A number is not a host. Write an IPv4 address as four numbers, as in 10.0.0.5.")
    if host.removesuffix(".") in _METADATA_NAMES:
        raise ValueError(_METADATA)
    return host


def why_not(address: IPAddress) -> str:
    """Why nothing may be served from this address, as a sentence; empty when it may. Also for resolved names."""
    inner = _embedded_ipv4(address)
    if inner is not None:
        address = inner
    if address in _METADATA_ADDRESSES:
        return _METADATA
    if address.is_link_local:
        return (
            "Link-local addresses (169.254.0.0/16, fe80::/10) are refused: clouds hand out credentials there."
        )
    if address.is_unspecified or (address.version == 4 and address in ipaddress.IPv4Network("0.0.0.0/8")):
        return "This address stands for no host. Use the server's own address, or 127.0.0.1 for the worker's machine."
    if address.is_multicast or address == ipaddress.IPv4Address("255.255.255.255"):
        return "This address is one of many hosts at once. Use the address of one server."
    return ""


def _literal(host: str) -> IPAddress | None:
    if host.startswith("["):
        return ipaddress.IPv6Address(host[1:-1])
    if not is_dotted_quad(host):
        return None
    if has_ambiguous_zeros(host):
        plain = ".".join(str(int(part)) for part in host.split("."))
        raise ValueError(f"Leave out the leading zeros, which some programs read as octal: {plain}.")
    return ipaddress.IPv4Address(host)


def _embedded_ipv4(address: IPAddress) -> ipaddress.IPv4Address | None:
    if address.version == 4:
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
