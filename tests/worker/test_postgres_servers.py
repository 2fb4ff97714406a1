"""PostgreSQL servers as they are found: how they ask for a password, and what certificate they show."""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from sdm.contract.endings import Ending
from sdm.contract.v1 import workers_pb2 as pb
from sdm.pki.names import Kind
from tests.servers import postgres
from tests.worker.clients import Person
from tests.worker.control_plane import Authority, ControlPlane, pem
from tests.worker.databases import dsn, endings, target
from tests.worker.forwarding import forwarded
from tests.worker.processes import Worker, until

pytestmark = pytest.mark.process

PASSWORD = "the resource's own, with a ' in it"
# Users, by how the server asks them for their password, and how it keeps it.
KEPT = {"md5": "md5", "password": "scram-sha-256", "scram-sha-256": "scram-sha-256", "reject": "md5"}
VERIFY = "Verify the server's certificate for this resource"


@dataclass(frozen=True)
class Server:
    url: str
    # Of its certificate, in PEM.
    authority: str

    def target(self, plane: ControlPlane, asks_for: str = "scram-sha-256", **config: object) -> str:
        login: dict[str, object] = {"username": asks_for, "password": PASSWORD}
        return target(plane, self.url, **login | config)

    def verified(self, plane: ControlPlane, asks_for: str = "scram-sha-256", **config: object) -> str:
        secure = {"tls_required": True, "certificate_authority": self.authority}
        return self.target(plane, asks_for, **secure | config)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    authority = Authority(Kind.WORKER)
    files = authority.host(tmp_path_factory.mktemp("certificate"))
    rules = [f'host all "{way}" 127.0.0.1/32 {way}' for way in KEPT]
    with postgres.server(rules=rules, certificate=files) as url:
        with psycopg.connect(url, autocommit=True) as direct:
            for user, kept in KEPT.items():
                direct.execute(sql.SQL("SET password_encryption = {}").format(kept))
                create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                direct.execute(create.format(sql.Identifier(user), PASSWORD))
        yield Server(url, pem(authority.certificate).decode())


def signed_in(person: Person, port: int, resource: str) -> tuple[str, bool]:
    """Who one is at the server, and whether in TLS."""
    with forwarded(person, port, resource) as way, psycopg.connect(dsn(way.port)) as connection:
        asked = "select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()"
        found = connection.execute(asked).fetchone()
    assert found is not None
    return found[0], found[1]


def refusal(person: Person, port: int, resource: str) -> str:
    with forwarded(person, port, resource) as way, pytest.raises(psycopg.OperationalError) as error:
        psycopg.connect(dsn(way.port))
    return str(error.value)


def unhealthy(plane: ControlPlane, worker: Worker, resource: str) -> str:
    """What the console is told of it."""
    plane.listed.append(pb.TargetVersion(resource_id=resource, version="1"))
    plane.tell(pb.Instruction(check_health=pb.CheckHealth(resource_ids=[resource])))
    until(lambda: any(found.resource_id == resource for found in plane.health), 30, lambda: worker.log)
    (found,) = [found for found in plane.health if found.resource_id == resource]
    assert not found.healthy
    return found.problem


# --- Signing in ---


@pytest.mark.parametrize("asks_for", ["md5", "password", "scram-sha-256"])
def test_each_way_of_asking_for_a_password_works_where_the_certificate_is_verified(
    asks_for: str, worker: Worker, plane: ControlPlane, alice: Person, server: Server
):
    assert signed_in(alice, worker.port(), server.verified(plane, asks_for)) == (asks_for, True)


@pytest.mark.parametrize("asks_for", ["md5", "scram-sha-256"])
@pytest.mark.parametrize("config", [{"tls_required": False}, {"tls_required": True, "tls_insecure": True}])
def test_what_shows_no_password_works_without_that(
    asks_for: str,
    config: dict[str, object],
    worker: Worker,
    plane: ControlPlane,
    alice: Person,
    server: Server,
):
    resource = server.target(plane, asks_for, **config)
    assert signed_in(alice, worker.port(), resource) == (asks_for, config["tls_required"])


@pytest.mark.parametrize("config", [{"tls_required": False}, {"tls_required": True, "tls_insecure": True}])
def test_a_password_in_clear_text_is_for_verified_servers_alone_and_it_is_said_what_to_do(
    config: dict[str, object], worker: Worker, plane: ControlPlane, alice: Person, server: Server
):
    resource = server.target(plane, "password", **config)
    said = refusal(alice, worker.port(), resource)
    assert "the server asks for the password in clear text" in said
    assert VERIFY in said
    (ended,) = endings(plane)
    assert ended.reason == Ending.RESOURCE_REFUSED
    assert VERIFY in ended.message
    assert VERIFY in unhealthy(plane, worker, resource)
    assert PASSWORD not in said + worker.log


@pytest.mark.parametrize("asks_for", ["md5", "password", "scram-sha-256", "reject"])
def test_wrong_credentials_are_refused_in_the_servers_words_which_hold_no_password(
    asks_for: str, worker: Worker, plane: ControlPlane, alice: Person, server: Server
):
    resource = server.verified(plane, asks_for, password="wrong-password-1")
    said = refusal(alice, worker.port(), resource)
    assert ("pg_hba.conf rejects" if asks_for == "reject" else "password authentication failed") in said
    assert [ended.reason for ended in endings(plane)] == [Ending.RESOURCE_REFUSED]
    assert "wrong-password-1" not in said + worker.log + unhealthy(plane, worker, resource)


# --- The certificate ---


def test_a_certificate_of_another_authority_is_refused_and_it_is_said_what_to_do(
    worker: Worker, plane: ControlPlane, alice: Person, server: Server
):
    other = pem(Authority(Kind.WORKER).certificate).decode()
    # Without one in the field, this machine's are meant.
    for config in ({"certificate_authority": ""}, {"certificate_authority": other}):
        resource = server.verified(plane, **config)
        said = refusal(alice, worker.port(), resource)
        problem = unhealthy(plane, worker, resource)
        for words in (said, problem):
            assert "is not accepted" in words
            assert "into the resource's field CA certificate" in words


def test_a_certificate_for_another_name_is_refused_and_it_is_said_what_to_do(
    worker: Worker, plane: ControlPlane, alice: Person, server: Server
):
    resource = server.verified(plane)
    plane.targets[resource].hostname = "localhost"
    said = refusal(alice, worker.port(), resource)
    problem = unhealthy(plane, worker, resource)
    for words in (said, problem):
        assert "certificate is not valid for 'localhost'" in words
        assert "Use a host name that the certificate is for" in words
