"""The parts of a website's form, each checked and in one spelling; ValueError with a sentence when it cannot be."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError

from sdm.contract.address import canonical_host
from sdm.contract.target import canonical_target

_PORTS = {"http": 80, "https": 443}
# RFC 9110, 5.6.2 and 5.5.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[\x20-\x7e\t]*")
_PATH = re.compile(r"/[\x21-\x7e]*", re.ASCII)

_CREDENTIALS = {"authorization", "proxy-authorization", "cookie"}
# What a worker sets itself, or what belongs to one connection only.
_RESERVED = {
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
}


def checked(name: str, check: Callable[[str], str]) -> Callable[[forms.Form], str]:
    """`clean_<name>` of a form, from a check that raises ValueError."""

    def clean(form: Any) -> str:
        text: str = form.cleaned_data[name]
        try:
            return check(text) if text else ""
        except ValueError as error:
            raise ValidationError(str(error)) from None

    return clean


def url(text: str) -> str:
    if not _VALUE.fullmatch(text) or " " in text or "\t" in text:
        raise ValueError("A URL has only letters, digits and signs of ASCII, and no spaces.")
    if "://" not in text:
        raise ValueError(f"The scheme is missing. Did you mean https://{text}?")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("The host or the port is not valid, as in https://wiki.internal:8443.") from None
    if parts.scheme not in _PORTS:
        raise ValueError("The URL begins with https:// or http://.")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "Credentials do not stand in the URL. Leave them out; there are kinds that hold them."
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("The URL ends after host and port. What follows goes into “Default path”.")
    if port == 0:
        raise ValueError("The port is a number from 1 to 65535.")
    host = canonical_target(
        parts.netloc.rpartition(":")[0] if port is not None else parts.netloc.removesuffix(":")
    )
    usual = port is None or port == _PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" if usual else f"{parts.scheme}://{host}:{port}"


def host_and_port(clean_url: str) -> tuple[str, int]:
    """Of a URL as `url` returns it."""
    parts = urlsplit(clean_url)
    host = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
    return host, parts.port or _PORTS[parts.scheme]


def path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise ValueError(
            "A path begins with a slash and has no spaces, as in /status. Other letters are written as %C3%A9."
        )
    return text


def host_header(text: str) -> str:
    found = re.fullmatch(r"(.+?)(:[0-9]{1,5})?", text)
    if found is None:
        raise ValueError("Write a host, perhaps with a port, as in wiki.example.com:8443.")
    return canonical_host(found[1]) + (found[2] or "")


def headers(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join(_header(line) for line in lines)


def _header(line: str) -> str:
    name, colon, value = (part.strip() for part in line.partition(":"))
    if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(
            f"“{line[:60]}” is no header. Write a name, a colon and a value, as in X-Environment: production."
        )
    if name.lower() in _CREDENTIALS:
        raise ValueError(
            f"{name} is a credential, and these headers are not kept secret. Choose the kind that holds it."
        )
    if name.lower() in _RESERVED:
        raise ValueError(f"{name} is set by the worker. Leave it out.")
    return f"{name}: {value}"


def header_names(text: str) -> str:
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = next((name for name in names if not _TOKEN.fullmatch(name)), None)
    if wrong is not None:
        raise ValueError(f"“{wrong[:60]}” is no name of a header. Separate names by commas.")
    return ", ".join(dict.fromkeys(names))
