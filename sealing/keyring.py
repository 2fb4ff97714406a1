"""The keys that seal, from a file or the environment, newest first.

Each line is `<id>:<base64 of 32 bytes>`, the id up to 16 lower-case letters and digits. The first key seals;
all of them open. Other processes rotate, so the file is looked at before each use, which costs a few
microseconds, and read again when it was replaced. In the environment, spaces and commas may stand for line
ends.
"""

import base64
import binascii
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from sealing.envelope import KEY_ID, KEY_LENGTH, Key, SealingError

# Others on the machine may not read the file, nor the group change it. The group may read it: Kubernetes
# gives mounted secrets to the group of the container.
_FORBIDDEN_MODE = stat.S_IRWXO | stat.S_IWGRP


class KeyringError(SealingError):
    """The keys cannot be used; the message says what to do and holds no key."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """At least one key, by id, the current one first."""

    keys: Mapping[str, Key]

    @property
    def current(self) -> Key:
        return next(iter(self.keys.values()))


def load() -> Keyring:
    """The keys as they are now."""
    return _parse(settings.SEALING_KEYS, "CONSOLE_SEALING_KEYS") if in_environment() else _read(key_file())


def in_environment() -> bool:
    return bool(settings.SEALING_KEYS)


def key_file() -> Path:
    return Path(settings.SEALING_KEYS_FILE)


def new_line() -> str:
    """A line with a new key."""
    return f"{secrets.token_hex(4)}:{base64.b64encode(secrets.token_bytes(KEY_LENGTH)).decode()}"


def add_key() -> Key:
    """Put a new key first in the file. It seals from now on, in every process."""
    line = new_line()
    _replace(lambda lines: [line, *lines])
    return load().keys[line.partition(":")[0]]


def remove_keys(ids: set[str]) -> None:
    """Take keys out of the file, never the current one. What they sealed cannot be opened any more."""
    if load().current.id in ids:
        raise KeyringError("The current key is never removed. Make a new one first.")
    _replace(lambda lines: [line for line in lines if line.partition(":")[0] not in ids])


def changed_at() -> float:
    """When the file was last replaced, as seconds since 1970."""
    return key_file().stat().st_mtime


# The file's device, inode, size and time of change: what differs after every replacement.
_Signature = tuple[int, int, int, int]


def _read(path: Path) -> Keyring:
    try:
        found = path.stat()
    except OSError as error:
        raise KeyringError(
            f"{path}: {error.strerror}. It holds the keys that seal credentials: restore it from its backup, "
            "or name it with CONSOLE_SEALING_KEYS_FILE."
        ) from None
    if found.st_mode & _FORBIDDEN_MODE:
        raise KeyringError(f"{path} holds keys and others can read or change it. Run: chmod 600 {path}")
    return _read_version(path, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=2)
def _read_version(path: Path, signature: _Signature) -> Keyring:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise KeyringError(f"{path} cannot be read: {error.strerror}.") from None
    return _parse(text, str(path))


@lru_cache(maxsize=2)
def _parse(text: str, origin: str) -> Keyring:
    keys: dict[str, Key] = {}
    for number, line in enumerate(_lines(text), start=1):
        key = _parse_line(line, f"{origin}, key {number}")
        if key.id in keys:
            raise KeyringError(
                f"{origin}, key {number}: the id “{key.id}” is there twice. Leave one of them."
            )
        keys[key.id] = key
    if not keys:
        raise KeyringError(f"{origin} holds no key. Restore it from its backup.")
    return Keyring(keys)


def _lines(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _parse_line(line: str, place: str) -> Key:
    key_id, _, encoded = line.partition(":")
    if not KEY_ID.fullmatch(key_id):
        raise KeyringError(f"{place}: write <id>:<base64>, the id 1 to 16 lower-case letters and digits.")
    try:
        secret = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != KEY_LENGTH:
        raise KeyringError(
            f"{place}: after the colon stand {KEY_LENGTH} bytes in base64. The line may be cut off."
        )
    return Key(key_id, secret)


def _replace(change: Callable[[list[str]], list[str]]) -> None:
    """The file with other lines, all of it or nothing, one process at a time."""
    # Secrets are often mounted through a link, and the link is not what is to be replaced.
    path = key_file().resolve()
    try:
        with _only_one(path.parent):
            _read(path)  # says what is wrong with it before it is written over
            lines = _lines(path.read_text(encoding="utf-8"))
            _write(path, "".join(f"{line}\n" for line in change(lines)))
    except OSError as error:
        raise KeyringError(f"{path} cannot be replaced: {error.strerror}. Nothing was changed.") from None


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two rotations at once would each write their own file, and a key that has sealed could be lost."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> None:
    old = path.stat()
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                # Rotated by root, it stays the console's file.
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
