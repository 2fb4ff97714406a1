"""Advertised addresses: `host:port`, the host a DNS name, an IPv4 address or an IPv6 one in brackets."""

import ipaddress
import re
from dataclasses import dataclass

# RFC 1035: 253 characters of name; RFC 1123: labels of letters, digits and inner hyphens.
MAX_HOST_LENGTH = 253
MAX_LENGTH = MAX_HOST_LENGTH + len(":65535")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_PORT = re.compile(r":([0-9]{1,5})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """A place to connect to, in canonical form."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """The address in `text`; ValueError with a sentence for people when there is none."""
        text = text.strip()
        if not text:
            raise ValueError("Enter an address such as 111.111.111.111:443.")
        if len(text) > MAX_LENGTH:
            raise ValueError(f"An address has at most {MAX_LENGTH} characters.")
        if "/" in text:
            raise ValueError("This looks like a URL. Enter host and port alone, as in proxy.example.com:443.")
        host, port = _split(text)
        if port is None:
            raise ValueError(f"The port is missing. Did you mean {canonical_host(host)}:443?")
        if not 1 <= port <= 65535:
            raise ValueError("The port is a number from 1 to 65535.")
        return cls(canonical_host(host), port)


def _split(text: str) -> tuple[str, int | None]:
    if _is_bare_ipv6(text):
        return f"[{text}]", None
    found = _PORT.search(text)
    if found is None:
        if ":" in text and not text.endswith("]"):
            raise ValueError("The port is a number from 1 to 65535.")
        return text, None
    return text[: found.start()], int(found[1])


def _is_bare_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def canonical_host(text: str) -> str:
    """The host in lower case, an IPv6 address compressed and in brackets; ValueError when it is none.

    A dotted quad stays as it was typed, leading zeros too: `10.0.0.021` is not rewritten to either of
    the two addresses that programs read it as.
    """
    host = text.strip().lower()
    if host.startswith("[") or _is_bare_ipv6(host):
        inside = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        return f"[{_ipv6(inside)}]"
    if not host:
        raise ValueError("The host is missing, as in 111.111.111.111:443.")
    if len(host) > MAX_HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in _labels(host)):
        raise ValueError(
            "The host is not a name or an address. Use a DNS name, an IPv4 address, or an IPv6 address in brackets."
        )
    if is_dotted_quad(host) and any(int(part) > 255 for part in host.split(".")):
        raise ValueError("Each part of an IPv4 address is a number from 0 to 255.")
    return host


def _labels(host: str) -> list[str]:
    return host.removesuffix(".").split(".")


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(
            "The IPv6 address is not valid. Write it in brackets, as in [2001:db8::1]:443."
        ) from None
    if address.scope_id is not None:
        raise ValueError("An address with a zone (%) has a meaning on one machine only. Leave the zone out.")
    return str(address)


def is_dotted_quad(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and all(part.isascii() and part.isdigit() and len(part) <= 4 for part in parts)


def has_ambiguous_zeros(host: str) -> bool:
    """Whether `host` is an IPv4 address that some programs read as octal, such as `10.0.0.021`."""
    return is_dotted_quad(host) and any(len(part) > 1 and part.startswith("0") for part in host.split("."))
