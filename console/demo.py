"""`python -m console.demo`, where `./dev demo` ends: everything that the product is, with something to reach.

A console, its API, one worker, and what they need to know of a PostgreSQL whose address is in DEMO_DATABASE_URL. What
an administrator would click together is made with the same services.
"""

import os
import secrets
import socket
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.core.management import CommandError
from django.db import connection

from console import first_run
from console.__main__ import prepare
from console.env import SettingError
from console.processes import API, PAGES, Processes, processes

DATABASE, RESOURCE = "orders", "orders-db"
ADDRESS = os.environ.get("SDM_BIND_ADDRESS", "127.0.0.1:8443")
EMAIL = "ada@example.com"
_START_TIMEOUT = 60.0
_ORDERS = """
CREATE TABLE orders AS
SELECT id, (ARRAY['tea', 'coffee', 'cocoa'])[1 + id % 3] AS item, 1 + id % 5 AS quantity
FROM generate_series(1, 1000) AS id
"""
WORKER_ENDED = f"""
The demo's worker has ended; what it said last stands above. Console, API and database run on without it, so nobody
reaches {RESOURCE} any more. Ctrl-C ends them; ./dev demo starts anew.
"""


@dataclass(frozen=True)
class Made:
    password: str
    worker: dict[str, str]
    cluster_id: str
    local_port: int


def main() -> None:
    try:
        lock = prepare(quiet=True)
        made = make(os.environ["DEMO_DATABASE_URL"])
    except (SettingError, CommandError) as error:
        sys.exit(f"console: {error}")
    with processes(lock) as ours:
        ours.start(*PAGES)
        ours.start(*API)
        wait_for(ours, lambda: answers(first_run.api_listen()))
        # Of the person's own client: a worker does not know it.
        os.environ.pop("SDM_HOME", None)
        worker = ours.start("-m", "sdm", "proxy", env=made.worker, needed=False)
        wait_for(ours, lambda: worker.poll() is not None or is_served(made.cluster_id))
        if worker.poll() is not None:
            sys.exit("console: The demo's worker did not start; why stands above.")
        if ours.run_on:
            say(directions(made))
        while ours.run_on and worker.poll() is None:
            time.sleep(0.1)
        if ours.run_on:
            say(WORKER_ENDED)
        ours.wait()
    sys.exit(ours.code)


def say(words: str) -> None:
    sys.stdout.write(words)
    sys.stdout.flush()


def make(url: str) -> Made:
    """A person, a cluster with a key, a resource, and the role that lets the person reach it."""
    # Models can be imported once Django is set up, which `prepare` does.
    from access import giving  # noqa: PLC0415
    from access.matching import Selection  # noqa: PLC0415
    from access.services import role_create, rule_add  # noqa: PLC0415
    from accounts.models import Account  # noqa: PLC0415
    from accounts.policy import Level  # noqa: PLC0415
    from clusters.services import cluster_create  # noqa: PLC0415
    from keys.services import key_create  # noqa: PLC0415
    from resources.kinds import KINDS  # noqa: PLC0415
    from resources.kinds.base import Target  # noqa: PLC0415
    from resources.services import Details, resource_create  # noqa: PLC0415
    from sdm.contract.address import Address  # noqa: PLC0415

    password = secrets.token_urlsafe(9)
    ada = Account(email=EMAIL, name="Ada", level=Level.ADMIN)
    ada.set_password(password)
    ada.save()
    cluster = cluster_create(
        actor=ada, name="demo", address=Address.parse(ADDRESS), tags={"Environment": "demo"}
    )
    key, secret = key_create(actor=ada, cluster=cluster, request_id=uuid.uuid4())
    where = urlsplit(url)
    target = Target(
        where.hostname or "",
        where.port or 0,
        where.username or "",
        {"database": DATABASE, "override_database": True, "tls_required": False},
    )
    resource = resource_create(
        actor=ada,
        kind=KINDS["postgres"],
        details=Details(RESOURCE, cluster, target, {"Environment": "demo"}, free_local_port()),
        secrets={"password": where.password or ""},
    )
    role = role_create(actor=ada, name="orders", tags={})
    rule_add(actor=ada, role=role, selection=Selection(chosen=[resource]))
    giving.account_attach(actor=ada, account=ada, role=role)
    fill(url)
    connection.close()
    worker = {
        "SDM_PROXY_CLUSTER_ACCESS_KEY": key.pk,
        "SDM_PROXY_CLUSTER_SECRET_KEY": secret.reveal(),
        "SDM_APP_DOMAIN": settings.APP_DOMAIN,
        "SDM_BIND_ADDRESS": ADDRESS,
        "SDM_SPOOL_DIRECTORY": str(settings.DATA_DIR / "spool"),
    }
    return Made(password, worker, cluster.pk, resource.port_override or 0)


def free_local_port() -> int:
    """People's machines are this one: the first from 10000 on that nobody has."""
    for port in range(10_000, 20_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    sys.exit("console: No local port from 10000 to 20000 is free.")


def fill(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {DATABASE}")
    with psycopg.connect(url, dbname=DATABASE) as database:
        database.execute(_ORDERS)


def wait_for(ours: Processes, there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while ours.run_on and not there():
        if time.monotonic() > deadline:
            sys.exit("console: The demo did not start within a minute; what went wrong stands above.")
        time.sleep(0.2)


def answers(where: first_run.Listen) -> bool:
    try:
        socket.create_connection((where.host, where.port), timeout=1).close()
    except OSError:
        return False
    return True


def is_served(cluster_id: str) -> bool:
    from clusters.models import Worker  # noqa: PLC0415

    try:
        return Worker.objects.filter(cluster_id=cluster_id, state=Worker.State.STARTED).exists()
    finally:
        connection.close()


def directions(made: Made) -> str:
    sdm = os.path.relpath(os.path.join(os.path.dirname(sys.executable), "sdm"), settings.BASE_DIR)
    return f"""
The demo runs, with a database of orders behind a worker. Ctrl-C ends it, and nothing of it stays.

Console   {settings.CONSOLE_URL}/
Sign in   {EMAIL}
Password  {made.password}

In another terminal:

    {sdm} login --app-domain {settings.APP_DOMAIN}
    {sdm} connect {RESOURCE}
    psql -h 127.0.0.1 -p {made.local_port} {DATABASE}

Type a query, such as TABLE orders LIMIT 5; and look under Audit > Queries. Ending the session there ends psql's.
"""


if __name__ == "__main__":
    main()
