"""Messages between the supervisor and its processes: lines of JSON on a pair of sockets."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Settings:
    """What the fronts serve by, from the link. Without a chain they serve in the clear."""

    chain: str = ""
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Trusted:
    """What the fronts judge callers by, from the control plane."""

    cluster_id: str
    worker_id: str
    # By their ids, Ed25519 in hexadecimal.
    ticket_keys: dict[str, str]
    # Certificates in PEM.
    client_authorities: list[str]
    # Serial numbers of clients' certificates.
    revoked_clients: list[str]


@dataclass(frozen=True, slots=True)
class Identity:
    """By which the control plane knows this worker; kept by the supervisor for a link that is started anew."""

    worker_id: str
    chain: str
    key: str = field(repr=False)
    # The authorities of the control plane, as it told; of use to a worker that pins one.
    pins: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Load:
    """What a front has done since it began; the supervisor sends the sum over all of them to the link."""

    # Those that have not had their answer, and sessions.
    connections: int = 0
    cpu_seconds: float = 0
    counts: dict[str, int] = field(default_factory=dict)
    processes: int = 1
    restarts: int = 0
    sessions: int = 0
    # Why requests cannot be logged, for an operator; of one of the fronts.
    log_problem: str = ""

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.connections + other.connections,
            self.cpu_seconds + other.cpu_seconds,
            dict(Counter(self.counts) + Counter(other.counts)),
            self.processes + other.processes,
            self.restarts,
            self.sessions + other.sessions,
            self.log_problem or other.log_problem,
        )


@dataclass(frozen=True, slots=True)
class Reload:
    """Look at the files again."""


@dataclass(frozen=True, slots=True)
class Leave:
    """To a front: take no more connections, and end with those there are, within `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Leaving:
    """To the link: the worker is about to end. Not ready any more."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """To the link: the fronts are gone. Report it, and end."""

    restarting: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """From the link: the worker has to end, with `message` as its last line."""

    code: int
    message: str
    at_once: bool = False


Message = Settings | Trusted | Identity | Load | Reload | Leave | Leaving | Goodbye | End
_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Settings, Trusted, Identity, Load, Reload, Leave, Leaving, Goodbye, End)
}


def encode(message: Message) -> bytes:
    return json.dumps({"is": type(message).__name__, **asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> Message:
    fields = json.loads(line)
    return _KINDS[fields.pop("is")](**fields)


class Lines:
    """Cuts what arrives into messages."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Message]:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [decode(line) for line in lines]
