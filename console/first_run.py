"""What must be true before the console starts: a free address, a data directory of its own, and secrets.

Runs before the environment is made, so it needs the standard library only. Each failure is a `SettingError`,
one sentence for the person at the terminal.
"""

import base64
import errno
import fcntl
import ipaddress
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from console import env

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_LISTEN = "127.0.0.1:8000"
DEFAULT_API_LISTEN = "127.0.0.1:8001"
PID_FILE = "console.pid"
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared with, not bound to


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the console listens: `host` without brackets, so that the socket module takes it as it is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def everywhere(self) -> bool:
        return self.host in WILDCARDS

    @property
    def only_here(self) -> bool:
        """Whether no other machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def url(self) -> str:
        """The address a browser on this machine opens."""
        return f"http://{_bracketed(WILDCARDS.get(self.host, self.host))}:{self.port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def listen() -> Listen:
    return _parsed("CONSOLE_LISTEN", env.text("CONSOLE_LISTEN", DEFAULT_LISTEN), DEFAULT_LISTEN)


def api_listen() -> Listen:
    """Where workers connect to."""
    api_certificate()
    return _parsed(
        "CONSOLE_API_LISTEN", env.text("CONSOLE_API_LISTEN", DEFAULT_API_LISTEN), DEFAULT_API_LISTEN
    )


def api_certificate() -> tuple[str, str]:
    """The files of certificate and key; both or none."""
    certificate, key = env.text("CONSOLE_API_TLS_CERT_FILE"), env.text("CONSOLE_API_TLS_KEY_FILE")
    for name, value, other in (
        ("CONSOLE_API_TLS_CERT_FILE", certificate, key),
        ("CONSOLE_API_TLS_KEY_FILE", key, certificate),
    ):
        if other and not value:
            raise env.SettingError(f"{name} is missing: a certificate and its key are given together.")
        if value and not os.access(value, os.R_OK):
            raise env.SettingError(f"{name}={value!r}: there is no such file, or it cannot be read.")
    return certificate, key


def _parsed(name: str, value: str, example: str) -> Listen:
    host, colon, port = value.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    whole_number = port.isascii() and port.isdigit() and 1 <= int(port) <= 65535
    if not (colon and bare and whole_number) or (":" in bare and bare == host):
        raise env.SettingError(f"{name}={value!r}: give an address and port such as {example}.")
    return Listen(bare, int(port))


def workers() -> int:
    """How many processes serve. Two at least, so that one can be replaced while the other answers."""
    return env.integer("CONSOLE_WORKERS", max(2, len(os.sched_getaffinity(0))), low=1, high=256)


def data_directory() -> Path:
    return Path(env.text("CONSOLE_DATA_DIR", str(CHECKOUT / "var"))).absolute()


def make_data_directory(path: Path) -> None:
    """The directory exists, for its owner alone, and is writable: the database, its journal and the lock are made
    in it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not where others have something: it may be a directory that they share.
        if path.stat().st_uid == os.geteuid() and not any(path.iterdir()):
            path.chmod(0o700)
    except OSError as error:
        raise _unwritable(path, error.strerror) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise _unwritable(path, "Permission denied")


def _unwritable(path: Path, reason: str | None) -> env.SettingError:
    return env.SettingError(
        f"The data directory {path} cannot be written: {reason}. "
        "Change its owner, or name another one with CONSOLE_DATA_DIR."
    )


def check_port(where: Listen, setting: str) -> None:
    """Raise when something else listens there already, or the address is not this machine's."""
    try:
        family = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            # As the server will do: connections that have just ended do not keep the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((where.host, where.port))
    except OSError as error:
        # An address of another machine is no more this machine's with another port.
        host = "127.0.0.1" if error.errno == errno.EADDRNOTAVAIL else where.host
        other = Listen(host, where.port % 65535 + 1)
        raise env.SettingError(
            f"Cannot listen on {where}: {error.strerror}. "
            f"Choose another address or port, as in {setting}={other} ./dev run."
        ) from error


def hold(directory: Path, where: Listen) -> int:
    """Take the directory for this process and tell others who has it. The lock ends with the descriptor."""
    path = directory / PID_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(directory, error.strerror) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 200).decode(errors="replace").strip()
        os.close(descriptor)
        raise env.SettingError(f"The console is already running from {directory} ({holder}).") from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()}, {where.url}\n".encode())
    return descriptor


def make_secrets(directory: Path) -> None:
    """The signing key and the first sealing key, unless they are there. Neither is ever overwritten."""
    folder = directory / "secrets"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        _write_once(folder / "django.key", secrets.token_urlsafe(64))
        _write_once(folder / "sealing.keys", new_sealing_key())
    except OSError as error:
        raise _unwritable(folder, error.strerror) from error


def new_sealing_key() -> str:
    """A line of `sealing.keys`: `<id>:<base64 of 32 bytes>`."""
    return f"{secrets.token_hex(4)}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _write_once(path: Path, line: str) -> None:
    """Make `path` hold `line`, all of it or nothing, unless it exists.

    Linked into place when it is complete: a crash half-way leaves no short key behind, and of two first
    starts one wins.
    """
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def check() -> None:
    """Everything that can be known before slow steps."""
    where, api_where, directory = listen(), api_listen(), data_directory()
    workers()
    make_data_directory(directory)
    os.close(hold(directory, where))
    check_port(where, "CONSOLE_LISTEN")
    check_port(api_where, "CONSOLE_API_LISTEN")
