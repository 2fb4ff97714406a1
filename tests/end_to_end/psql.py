"""A prompt of psql that somebody types into."""

import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from types import TracebackType

import pytest

from tests.end_to_end.product import HANG


class Psql:
    def __init__(self, arguments: Sequence[str], database: str = "orders") -> None:
        self.process = subprocess.Popen(
            ["psql", "-X", "-A", "-t", *arguments, database],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self.process.stdin
        assert self.process.stdout
        self._input, self._output = self.process.stdin, self.process.stdout
        self._heard = ""

    def say(self, line: str) -> None:
        self._input.write(f"{line}\n".encode())
        self._input.flush()

    def ask(self, line: str, answer: str) -> str:
        self.say(line)
        return self.hear(answer)

    def hear(self, words: str, seconds: float = HANG) -> str:
        """All that was said up to these words."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while words not in self._heard:
                left = deadline - time.monotonic()
                data = os.read(self._output.fileno(), 1 << 16) if selector.select(max(left, 0)) else b""
                if not data:
                    pytest.fail(f"psql did not say {words!r} but {self._heard!r}")
                self._heard += data.decode()
        end = self._heard.index(words) + len(words)
        said, self._heard = self._heard[:end], self._heard[end:]
        return said

    def __enter__(self) -> "Psql":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._input.close()
        self.process.kill()
        self.process.wait(HANG)
        self._output.close()
