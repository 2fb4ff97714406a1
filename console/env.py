"""Typed readers for the environment. A wrong value stops the start and says what is allowed."""

import os
from pathlib import Path
from urllib.parse import urlsplit


class SettingError(Exception):
    """A setting is missing or wrong; the message names it, its value and what is allowed."""


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "") or default


def integer(name: str, default: int, *, low: int, high: int) -> int:
    value = text(name, str(default))
    if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
        raise SettingError(f"{name}={value!r}: give a whole number from {low} to {high}.")
    return int(value)


def choice(name: str, allowed: tuple[str, ...]) -> str:
    """One of `allowed`; the first is the default."""
    value = text(name, allowed[0])
    if value not in allowed:
        raise SettingError(f"{name}={value!r}: give one of {', '.join(allowed)}.")
    return value


def origin(name: str, default: str) -> str:
    """An origin such as `https://console.example.com`: scheme and host, perhaps a port, nothing behind it."""
    value = text(name, default).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        raise SettingError(f"{name}={value!r}: give an address such as https://console.example.com.")
    return value


def secret(name: str, file_default: Path | None = None) -> str:
    """The secret in `name`, or in the file that `name`_FILE names, or in `file_default`."""
    if value := text(name):
        return value
    named = text(f"{name}_FILE")
    path = Path(named) if named else file_default
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingError(
            f"{name}: cannot read {path}: {error.strerror}. `./dev run` makes it on the first start; "
            f"or set {name} or {name}_FILE."
        ) from error
