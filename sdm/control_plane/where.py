"""The control plane's address, and whom to believe that it is the one."""

import ipaddress
import re
from dataclasses import dataclass

from sdm.contract.address import canonical_host

HTTPS_PORT = 443
# One that signs, and those of a rotation; more is a mistake.
MAX_PINS = 10
_ADDRESS = re.compile(r"(\[[^\]]+\]|[^:/]+)(?::([0-9]{1,5}))?", re.ASCII)
_PIN = re.compile(r"([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ControlPlane:
    host: str
    port: int
    # The SHA-256 of authorities' certificates in DER, in hexadecimal; none for the public authorities.
    pins: frozenset[str]

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def plaintext(self) -> bool:
        """On this machine alone, and not when somebody asked for a certificate."""
        return not self.pins and is_loopback(self.host)


def parse(text: str, pins: frozenset[str]) -> ControlPlane:
    """From `host` or `host:port`; ValueError with what would be right."""
    parts = _ADDRESS.fullmatch(text)
    if parts is None or not 1 <= int(parts[2] or HTTPS_PORT) <= 65535:
        raise ValueError("give a host, perhaps with a port, as in console.example.com:443.")
    return ControlPlane(canonical_host(parts[1]), int(parts[2] or HTTPS_PORT), pins)


def parse_pins(text: str) -> frozenset[str]:
    """From `sha256:` and hexadecimal digits, several with commas between; ValueError with what would be right."""
    words = text.lower().replace(",", " ").split()
    found = [_PIN.fullmatch(_without_colons(word)) for word in words]
    if not all(found) or len(found) > MAX_PINS:
        raise ValueError(
            "give sha256: and the 64 hexadecimal digits of the authority's SHA-256, with commas between several; "
            f"{MAX_PINS} at most."
        )
    return frozenset(pin[1] for pin in found if pin)


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True  # RFC 6761, 6.3
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_colons(pin: str) -> str:
    """As OpenSSL prints them, there is one between each two digits."""
    return pin.removeprefix("sha256:").replace(":", "")
