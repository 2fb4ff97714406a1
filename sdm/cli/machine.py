"""The machine that a command changes: its files, its user, its programs. Tests give a directory instead of `/`."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

import sdm


@dataclass(frozen=True, slots=True)
class Machine:
    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    uid: int = field(default_factory=os.geteuid)
    # The interpreter, and the directory that holds the package: what the service will run.
    python: Path = field(default_factory=lambda: Path(sys.executable))
    package: Path = field(default_factory=lambda: Path(sdm.__file__).resolve().parents[1])

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def read(self, path: str) -> str | None:
        """None when there is no such file."""
        try:
            return self.at(path).read_text(errors="replace")
        except FileNotFoundError:
            return None

    def write(self, path: str, text: str, mode: int) -> None:
        """All or nothing, and never readable by more people than in the end."""
        target = self.at(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise

    def call(self, command: Sequence[str]) -> int:
        try:
            return subprocess.run(command, check=False).returncode  # noqa: S603  # systemctl with fixed words
        except OSError as error:
            click.echo(f"{command[0]}: {error.strerror}", err=True)
            return 127

    def can_ask(self) -> bool:
        return sys.stdin.isatty()

    def ask(self, question: str, *, hidden: bool = False) -> str:
        answer: str = click.prompt(question, hide_input=hidden, err=True)
        return answer.strip()
