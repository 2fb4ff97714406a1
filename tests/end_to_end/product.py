"""All of the product as its own processes: console and API, a balancer, a worker, an administrator, a machine."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.client.machine import Machine
from tests.end_to_end import programs
from tests.end_to_end.cast import ALICE
from tests.house.checkout import ROOT, children, dev_module, free_port
from tests.people import PASSWORD
from tests.worker.processes import Worker, fetch, until

# Nothing takes as long; whoever waits for more waits for ever.
HANG = 30.0


class ControlPlane:
    """`python -m console`, with its data in a directory."""

    def __init__(self, directory: Path) -> None:
        self.log_file = directory / "console.log"
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.environment: dict[str, str] = dev_module().clean_environment() | {
            "CONSOLE_DATA_DIR": str(directory / "console"),
            "CONSOLE_LISTEN": self.url.removeprefix("http://"),
            "CONSOLE_API_LISTEN": self.address,
            "CONSOLE_WORKERS": "2",
            "CONSOLE_URL": self.url,
            "DJANGO_SETTINGS_MODULE": "console.settings",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = programs.start([sys.executable, "-m", "console"], self.log_file, self.environment)
        until(self._answers, HANG, self.log_file.read_text)

    def kill(self) -> None:
        """SIGKILL to all of it: none of its processes can say or write anything more."""
        if self._process is None:
            return
        for pid in [self._process.pid, *children(self._process.pid)]:
            with contextlib.suppress(ProcessLookupError):  # its parent was faster to notice
                os.kill(pid, signal.SIGKILL)
        self._process.wait(HANG)
        self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log_file.read_text()
        return fetch(f"{self.url}/healthz")[0] == 200 and programs.accepts(self.address)


class Office:
    """An administrator: `office("detach")` does one of the acts of `tests.end_to_end.office`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.end_to_end.office"],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, act: str, **arguments: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([act, arguments]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the office failed at {act}; why stands above"
        return json.loads(answer)

    def until(self, condition: Callable[[], object]) -> None:
        """News of workers reach the log within a moment."""
        until(lambda: bool(condition()), HANG)

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(HANG)


class Product:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.console = ControlPlane(directory)
        self.console.start()
        self.office = Office(self.console.environment)
        # The cluster's address is a balancer's, as it is where there is more than one worker.
        self._places = [free_port(), free_port()]
        self._balancer = programs.Balancer(directory, self._places)
        self._keys = self.office("set_up", password=PASSWORD, address=self._balancer.address)
        self.workers: list[Worker] = [self.new_worker()]
        self.machine = Machine(directory / "home", self.console.address)

    @property
    def secret_key(self) -> str:
        """Of the cluster."""
        return str(self._keys["secret_key"])

    def new_worker(self) -> Worker:
        """The first, or another one beside it."""
        place, so_far = self._places.pop(0), self.office("workers")
        settings = {
            "SDM_PROXY_CLUSTER_ACCESS_KEY": self._keys["access_key"],
            "SDM_PROXY_CLUSTER_SECRET_KEY": self._keys["secret_key"],
            "SDM_APP_DOMAIN": self.console.address,
            "SDM_BIND_ADDRESS": f"127.0.0.1:{place}",
            "SDM_WORKERS": "1",
            "SDM_SHUTDOWN_TIMEOUT": "1",
            # All that it ever says is looked through for secrets.
            "SDM_VERBOSE": "true",
        }
        worker = Worker(settings, self.directory / f"worker-{place}.log")
        worker.until(lambda: self.office("workers") > so_far, HANG)
        self._balancer.wait_for(place)
        return worker

    def offer(self, name: str, kind: str, port: int, **more: Any) -> None:
        """A resource of that name."""
        self.office("add_resource", name=name, kind=kind, port=port, local_port=free_port(), **more)

    def query(self, resource: str, text: str) -> dict[str, Any]:
        """The one in the log that begins so, when it is known what came of it."""
        found: list[dict[str, Any]] = []

        def has_come() -> bool:
            found[:] = self.office("queries", resource=resource, text=text)
            return bool(found) and all(row["microseconds"] is not None for row in found)

        until(has_come, HANG)
        (query,) = found
        return query

    def running(self, resource: str) -> list[dict[str, Any]]:
        """The sessions that the console shows as running."""
        return [row for row in self.office("sessions", resource=resource) if row["ended_at"] is None]

    def login(self) -> None:
        """`sdm login`, approved by Alice in her browser."""
        login = self.machine.begin("login", "--no-browser", "--json")
        assert login.stdout is not None
        shown = json.loads(login.stdout.readline())
        assert self.office("approve", code=shown["code"])
        said, _ = login.communicate(timeout=HANG)
        assert login.returncode == 0, said
        assert json.loads(said)["account"]["email"] == ALICE

    def login_again(self) -> None:
        """After `sdm logout`, which ends the agent as well."""
        self.login()
        self.machine.listen()

    def connect(self, *names: str) -> None:
        done = self.machine.run("connect", *names)
        assert done.returncode == 0, done.stdout + done.stderr

    def end(self) -> None:
        self.machine.end()
        for worker in self.workers:
            worker.kill()
        self._balancer.end()
        self.office.close()
        self.console.kill()

    def faults(self) -> Iterator[str]:
        """What nobody thought of, in the logs of all that ran."""
        for log in self.directory.glob("*.log"):
            if "Traceback" in (text := log.read_text(errors="replace")):
                yield f"{log.name}: {text}"
