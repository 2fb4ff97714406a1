"""What the tests need from Debian, and how it gets there. Standard library only, as `./dev` calls it."""

import os
import shutil
import subprocess
from collections.abc import Sequence

PACKAGES = (
    "postgresql",
    "chromium",
    "fonts-liberation",
    "libatomic1",
    "curl",
    "systemd",
    "haproxy",
    "nginx",
    "libnginx-mod-stream",
    "pgbouncer",
    "wrk",
)


class PackagesMissing(Exception):
    """They cannot be installed from here; the message says what to install."""


def missing(wanted: Sequence[str] = PACKAGES) -> list[str]:
    if shutil.which("dpkg-query") is None:
        raise PackagesMissing(f"This runs on Debian, with these packages: {' '.join(wanted)}.")
    return [package for package in wanted if not _installed(package)]


def _installed(package: str) -> bool:
    command = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout == "installed"


def commands(packages: list[str]) -> list[list[str]]:
    """What installs them, as root or with a sudo that asks nothing; PackagesMissing when we may not."""
    prefix = _as_root()
    if prefix is None:
        raise PackagesMissing(f"This needs packages that are not installed. As root: {by_hand(packages)}")
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    return [[*apt, "update"], [*apt, "install", "--yes", "--no-install-recommends", *packages]]


def by_hand(packages: list[str]) -> str:
    return f"apt-get install {' '.join(packages)}"


def _as_root() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "--non-interactive"]
    if shutil.which("sudo") is None:
        return None
    allowed = subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode == 0
    return sudo if allowed else None
