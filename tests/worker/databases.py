"""PostgreSQL servers as resources of a control plane, and what is known of sessions to them."""

import json
from urllib.parse import urlsplit

from sdm.contract.ids import new_id
from sdm.contract.v1 import workers_pb2 as pb
from sdm.contract.v1.records_pb2 import SessionEnded
from tests.servers import postgres
from tests.worker.control_plane import ControlPlane
from tests.worker.processes import until


def target(plane: ControlPlane, url: str, **config: object) -> str:
    parts = urlsplit(url)
    resource_id = new_id("rs")
    settings = {"database": "postgres", "override_database": True, "tls_required": False} | config
    plane.targets[resource_id] = pb.Target(
        resource_id=resource_id,
        name="orders",
        kind="postgres",
        hostname="127.0.0.1",
        port=parts.port or 5432,
        username=str(settings.pop("username", postgres.USER)),
        credentials={"password": str(settings.pop("password", parts.password)).encode()},
        config=json.dumps(settings).encode(),
    )
    return resource_id


def dsn(port: int, **words: str) -> str:
    found = {"host": "127.0.0.1", "port": str(port), "user": "nobody", "dbname": "whatever", **words}
    return " ".join(f"{name}={value}" for name, value in found.items())


def endings(plane: ControlPlane) -> list[SessionEnded]:
    until(lambda: any(record.HasField("session_ended") for record in plane.records))
    return [record.session_ended for record in plane.records if record.HasField("session_ended")]
