"""What `sdm status` tells, as scripts get it with `--json`."""

import datetime as dt
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sdm.client.catalog import Entry
from sdm.client.control import Message
from sdm.client.listener import HOST, Listener
from sdm.client.session import NOT_LOGGED_IN, Session
from sdm.contract.endings import Ending
from sdm.version import VERSION

CONNECTED, NOT_CONNECTED = "connected", "not connected"
# The catalog says that it is gone, and no more. Whoever had a connection may have heard from the worker which it is.
TAKEN_AWAY = (
    "You no longer have access to this resource, or it was deleted or detached from its proxy cluster."
)
# Seconds. Whoever looks later does not wonder any more where a connection went.
_LOSS_TOLD = 600.0
# It is by its own clock that the control plane finds an end.
_CLOCKS_DIFFER = dt.timedelta(seconds=5)
# What a host may be called; not with `--` in the third place, where browsers look for a name in another script.
_LABEL = re.compile(r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_PART = 40


@dataclass(frozen=True, slots=True)
class Lost:
    """What was connected, and is in the catalog no more."""

    entry: Entry
    at: float = field(default_factory=time.monotonic)
    on: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))

    @property
    def problem(self) -> str:
        """As the worker says it to whoever is connected; why it was taken away before its end, nobody says here."""
        ends_at = self.entry.ends_at
        is_over = ends_at is not None and ends_at <= self.on + _CLOCKS_DIFFER
        return Ending.ACCESS_OVER.sentence if is_over else TAKEN_AWAY

    @property
    def is_told(self) -> bool:
        return time.monotonic() < self.at + _LOSS_TOLD


def of_agent(
    session: Session | None,
    listeners: Mapping[str, Listener],
    wanted: Collection[str],
    lost: Mapping[str, Lost],
    pid: int,
) -> Message:
    signed_in = session is not None and not session.over
    return {
        "signed_in": signed_in,
        "account": _account(session) if session and signed_in else None,
        "control_plane": str(session.me.control_plane) if session else None,
        "problem": session.problem if session else NOT_LOGGED_IN,
        "agent": {"version": VERSION, "pid": pid},
        "resources": [
            of_resource(entry, listeners.get(entry.resource_id), wanted=entry.resource_id in wanted)
            for entry in (session.catalog if session and signed_in else ())
        ],
        "lost": [
            {"id": key, "name": each.entry.name, "problem": each.problem}
            for key, each in sorted(lost.items(), key=lambda item: item[1].entry.name.casefold())
            if each.is_told
        ],
    }


def _account(session: Session) -> Message:
    person = session.me.person
    return {
        "id": person.account_id,
        "email": person.email,
        "name": person.name,
        "until": session.me.ends_at.isoformat(),
    }


def of_resource(entry: Entry, listener: Listener | None, *, wanted: bool) -> Message:
    return {
        "id": entry.resource_id,
        "name": entry.name,
        "type": entry.kind,
        "category": entry.category,
        "cluster": entry.cluster,
        "status": CONNECTED if listener and listener.is_listening else NOT_CONNECTED,
        "address": f"{HOST}:{entry.local_port}",
        "url": _url(entry),
        "tags": dict(entry.tags),
        "healthy": entry.healthy,
        "health_problem": entry.health_problem,
        "until": entry.ends_at.isoformat() if entry.ends_at else None,
        "connections": listener.connections if listener else 0,
        "problem": _problem(entry, listener) if wanted else "",
        "username": entry.username,
        "database": entry.database,
        "path": entry.path,
    }


def _problem(entry: Entry, listener: Listener | None) -> str:
    if listener is None or not listener.is_listening:
        return f"{HOST}:{entry.local_port} is taken by another program."
    if listener.problem or entry.is_served:
        return listener.problem
    return f"Workers do not serve resources of the kind {entry.kind} yet."


def _url(entry: Entry) -> str:
    """By a name of its own, which browsers know as this machine: they keep cookies by name and not by port, so that all
    websites on 127.0.0.1 get each other's."""
    if entry.category != "website" or not entry.local_port:
        return ""
    return f"http://{_label(entry)}.localhost:{entry.local_port}{entry.path or '/'}"


def _label(entry: Entry) -> str:
    plain = entry.name.lower() if entry.name.isascii() else ""
    if _LABEL.fullmatch(plain):
        return plain
    # Names that differ may come to the same here, ports do not.
    part = re.sub(r"[^a-z0-9]+", "-", entry.name.lower())[:_LONGEST_PART].strip("-")
    return f"{part}-{entry.local_port}".removeprefix("-")
