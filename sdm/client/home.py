"""The agent's directory: one for each person, readable by nobody else."""

import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

# Nothing of ours is longer than some kilobytes.
_MAX_FILE = 1 << 20


class UnusableHome(Exception):
    """The directory cannot be used as it is; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    path: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Home":
        """SDM_HOME, or where this system keeps such things. Made if need be."""
        chosen = environ.get("SDM_HOME")
        home = cls(Path(chosen) if chosen else platformdirs.user_state_path("sdm", appauthor=False))
        home._make()
        return home

    @property
    def identity(self) -> Path:
        return self.path / "identity.json"

    @property
    def connections(self) -> Path:
        return self.path / "connections.json"

    @property
    def log(self) -> Path:
        return self.path / "agent.log"

    @property
    def lock(self) -> Path:
        return self.path / "agent.lock"

    @property
    def socket(self) -> Path:
        return self.path / "agent.sock"

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.path.stat()
        except OSError as error:
            raise UnusableHome(
                f"{self.path} cannot be made: {error.strerror}. Choose another with SDM_HOME."
            ) from None
        if found.st_uid != os.getuid():
            raise UnusableHome(f"{self.path} is somebody else's. Choose another with SDM_HOME.")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise UnusableHome(f"{self.path} can be read by others. Say: chmod 700 {self.path}")


def read_json(path: Path) -> dict[str, Any] | None:
    """What was written there; None when nothing was, or it is not that any more."""
    try:
        with path.open(encoding="utf-8") as file:
            content = json.loads(file.read(_MAX_FILE))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """All of it or nothing, and for the owner's eyes alone. UnusableHome where nothing can be written."""
    with writing(path):
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A full disk, for one, is said in words that name the directory."""
    try:
        yield
    except OSError as error:
        raise UnusableHome(f"{path.name} in {path.parent} cannot be written: {error.strerror}.") from None
