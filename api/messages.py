"""Between messages and what services take. What a worker sends is text from a stranger: cut, and without controls."""

import datetime as dt
import ipaddress
import json
from collections.abc import Mapping
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from authority.services import Issued
from clusters.configuration import Configuration
from clusters.models import Worker
from clusters.restarts import Turn
from clusters.windows import DEFAULT_HOUR
from clusters.workers import Report
from resources.models import Resource
from sdm.contract.address import MAX_HOST_LENGTH
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as v1

MAX_PROBLEMS = 10
MAX_PROBLEM = 300
MAX_VERSION = 64
_MAX_INTEGER = 2**31 - 1

# What a worker may say of itself. Dead is what others say of it.
_STATES = {
    v1.WORKER_STATE_NEW: Worker.State.NEW,
    v1.WORKER_STATE_STARTED: Worker.State.STARTED,
    v1.WORKER_STATE_VERIFYING_RESTART: Worker.State.VERIFYING_RESTART,
    v1.WORKER_STATE_AWAITING_RESTART: Worker.State.AWAITING_RESTART,
    v1.WORKER_STATE_RESTARTING: Worker.State.RESTARTING,
    v1.WORKER_STATE_STOPPED: Worker.State.STOPPED,
}


def plain(text: str, length: int) -> str:
    return "".join(character for character in text if character.isprintable())[:length].strip()


class Introduction(Protocol):
    """What says where it comes from."""

    host_name: str
    version: str


def host_name(request: Introduction) -> str:
    return plain(request.host_name, MAX_HOST_LENGTH) or "unnamed"


def version(request: Introduction) -> str:
    return plain(request.version, MAX_VERSION)


def maintenance_hour(request: v1.RegisterRequest) -> int:
    hour = request.maintenance_window_start
    return hour if request.HasField("maintenance_window_start") and hour < 24 else DEFAULT_HOUR


def moment(timestamp: Timestamp) -> dt.datetime:
    """ValueError when there is none such."""
    return timestamp.ToDatetime(dt.UTC)


def report(said: v1.WorkerReport) -> Report:
    return Report(
        # A state that is not known here, from a worker newer than this, is one of a worker that runs.
        state=_STATES.get(said.state, Worker.State.STARTED),
        connections=min(said.connections, _MAX_INTEGER),
        cpu_percent=min(said.cpu_percent, _MAX_INTEGER),
        configuration_generation=min(said.configuration_generation, _MAX_INTEGER),
        problems=tuple(plain(problem, MAX_PROBLEM) for problem in said.problems[:MAX_PROBLEMS]),
        version=plain(said.version, MAX_VERSION),
    )


def ip_address(text: str) -> str | None:
    """An address as a worker says it; None where it is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def target(resource: Resource, credentials: Mapping[str, bytes]) -> v1.Target:
    return v1.Target(
        resource_id=resource.pk,
        name=resource.name,
        kind=resource.kind,
        hostname=resource.hostname,
        port=resource.port,
        username=resource.username,
        config=json.dumps(resource.config, sort_keys=True).encode(),
        credentials=credentials,
    )


def certificate(issued: Issued) -> v1.Certificate:
    return v1.Certificate(chain=issued.chain.encode(), not_after=timestamp(issued.not_after))


def timestamp(at: dt.datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def configuration(current: Configuration, *, heartbeat_seconds: int) -> v1.Configuration:
    contents = current.contents
    return v1.Configuration(
        generation=current.generation,
        advertised_address=contents.address,
        client_authorities=[pem.encode() for pem in contents.client_authorities],
        revoked_clients=contents.revoked_clients,
        maintenance_windows=[
            v1.MaintenanceWindow(cron_schedule=schedule, require_idleness=idle)
            for schedule, idle in contents.windows
        ],
        heartbeat_seconds=heartbeat_seconds,
        control_plane_pins=contents.control_plane_pins,
        ticket_keys=[
            v1.TicketKey(id=name, public_key=bytes.fromhex(key)) for name, key in contents.ticket_keys
        ],
    )


def restart(turn: Turn) -> v1.Instruction:
    return v1.Instruction(restart=v1.Restart(cut_connections=turn.cut_connections))


def stop(reason: Reason, message: str) -> v1.Instruction:
    return v1.Instruction(stop=v1.Stop(reason=reason.value, message=message))
