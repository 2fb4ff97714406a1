"""A control plane for workers to talk to: the real protocol on a real port, with one cluster and one key in memory.

It can be told to refuse, to stop a worker, and to be away.
"""

import asyncio
import datetime as dt
import secrets
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from grpc import aio

from sdm.contract import proof, reasons, ticket
from sdm.contract.endings import Ending
from sdm.contract.keys import SecretKey
from sdm.contract.reasons import Reason
from sdm.contract.records import decoded
from sdm.contract.v1 import workers_pb2 as pb
from sdm.contract.v1.records_pb2 import Record
from sdm.contract.v1.workers_pb2_grpc import WorkersServicer, add_WorkersServicer_to_server
from sdm.pki import csr, profiles
from sdm.pki.names import ClientName, Kind, WorkerName
from sdm.transport.truncation import tell_truncation
from tests.house.checkout import free_port

DOMAIN = "acme.example.com"
KEY_ID = "tk-0123456789abcdef"
T = TypeVar("T")


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Authority:
    def __init__(self, kind: Kind) -> None:
        self.key = csr.new_key()
        builder = profiles.authority(
            kind, label=f"Test {kind}", trust_domain=DOMAIN, key=self.key.public_key(), at=now()
        )
        self.certificate = builder.sign(self.key, hashes.SHA256())

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self.key, hashes.SHA256())

    def client(
        self, directory: Path, account_id: str = "", *, at: dt.datetime | None = None, name: str = "pair"
    ) -> tuple[Path, Path]:
        """Files with a client's certificate and key."""
        key = csr.new_key()
        who = ClientName(DOMAIN, account_id or f"a-{secrets.token_hex(8)}")
        leaf = self.sign(profiles.leaf(who, key=key.public_key(), issuer=self.certificate, at=at or now()))
        return written(directory, pem(leaf), key_pem(key), name)

    def host(
        self, directory: Path, name: str = "host", *, at: dt.datetime | None = None
    ) -> tuple[Path, Path]:
        """The same for 127.0.0.1."""
        key = csr.new_key()
        worker = WorkerName(DOMAIN, "n-0123456789abcdef", "w-0123456789abcdef")
        builder = profiles.leaf(
            worker, key=key.public_key(), issuer=self.certificate, at=at or now(), hosts=["127.0.0.1"]
        )
        return written(directory, pem(self.sign(builder)), key_pem(key), name)


def written(directory: Path, chain: bytes, key: bytes, name: str = "pair") -> tuple[Path, Path]:
    files = directory / f"{name}.crt", directory / f"{name}.key"
    for file, content in zip(files, (chain, key), strict=True):
        file.write_bytes(content)
    return files


def host_pair(directory: Path, name: str = "host", *, at: dt.datetime | None = None) -> tuple[Path, Path]:
    """Files as somebody's own authority would make them."""
    return Authority(Kind.WORKER).host(directory, name, at=at)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class ControlPlane(WorkersServicer):
    def __init__(self) -> None:
        self.port = free_port()
        self.access_key = f"gk-{secrets.token_hex(8)}"
        self.secret_key = SecretKey.generate()
        self.cluster_id = f"n-{secrets.token_hex(8)}"
        self.workers = Authority(Kind.WORKER)
        self.clients = Authority(Kind.CLIENT)
        # What the next calls of this name are refused with.
        self.refusals: dict[str, tuple[Reason | str, str]] = {}
        # Calls that get no answer.
        self.hanging: set[str] = set()
        self.calls: list[str] = []
        self.reports: list[pb.WorkerReport] = []
        self.registrations: list[pb.RegisterRequest] = []
        self.heartbeat_seconds = 1
        self.ticket_key = Ed25519PrivateKey.generate()
        self.revoked: list[str] = []
        self.generation = 1
        # Resources by their ids; who asks for another is refused.
        self.targets: dict[str, pb.Target] = {}
        # Those whose health is checked, and what was found.
        self.listed: list[pb.TargetVersion] = []
        self.health: list[pb.Health] = []
        self.leases: list[pb.GetLeaseRequest] = []
        self.lease_seconds = 60.0
        self.cancel_secret = b"of this cluster"
        self.ends_at: dt.datetime | None = None
        self.checks: list[pb.CheckSessionsRequest] = []
        # Endings by the ids of sessions or of resources.
        self.endings: dict[str, tuple[Ending, str]] = {}
        self.records: list[Record] = []
        # By those who connected to its workers; closed at the end.
        self.opened: list[socket.socket] = []
        self.life: dt.timedelta | None = None
        # How far its clock is ahead of this machine's.
        self.clock = dt.timedelta(0)
        # For which its workers' certificates are.
        self.host = "127.0.0.1"
        # What it tells of its own authorities.
        self.pins: list[str] = []
        self._nonces: set[bytes] = set()
        self._streams: list[asyncio.Queue[pb.Instruction]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: aio.Server | None = None
        self.tls: tuple[bytes, bytes] | None = None

    # --- For tests ---

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def begin(self) -> None:
        self._thread.start()
        self.up()

    def end(self) -> None:
        for sock in self.opened:
            sock.close()
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def up(self) -> None:
        self.do(self._up())

    def down(self) -> None:
        self.do(self._down())

    def tell(self, instruction: pb.Instruction) -> None:
        """To every worker that watches."""

        async def put() -> None:
            for stream in self._streams:
                stream.put_nowait(instruction)

        self.do(put())

    def recheck(self) -> None:
        self.tell(pb.Instruction(recheck=pb.Recheck()))

    def reconfigure(self) -> None:
        self.generation += 1
        self.tell(pb.Instruction(configuration=self.configuration()))

    def stop_workers(self, reason: Reason, message: str = "") -> None:
        self.tell(pb.Instruction(stop=pb.Stop(reason=reason, message=message)))

    def environment(self) -> dict[str, str]:
        return {
            "SDM_PROXY_CLUSTER_ACCESS_KEY": self.access_key,
            "SDM_PROXY_CLUSTER_SECRET_KEY": self.secret_key.reveal(),
            "SDM_APP_DOMAIN": self.address,
        }

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _up(self) -> None:
        self._server = aio.server(options=[("grpc.so_reuseport", 0)])
        self.serve_on(self._server)
        if self.tls:
            key, chain = self.tls
            assert self._server.add_secure_port(self.address, grpc.ssl_server_credentials([(key, chain)]))
        else:
            assert self._server.add_insecure_port(self.address)
        await self._server.start()

    def serve_on(self, server: aio.Server) -> None:
        add_WorkersServicer_to_server(self, server)

    async def _down(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    # --- The service ---

    async def GetChallenge(self, request: pb.GetChallengeRequest, context: Any) -> pb.GetChallengeResponse:
        await self._begin("GetChallenge", context)
        if request.access_key != self.access_key:
            await refuse(context, Reason.UNKNOWN_KEY)
        nonce = secrets.token_bytes(32)
        self._nonces.add(nonce)
        response = pb.GetChallengeResponse(nonce=nonce)
        response.now.FromDatetime(now() + self.clock)
        return response

    async def Register(self, request: pb.RegisterRequest, context: Any) -> pb.RegisterResponse:
        await self._begin("Register", context)
        self.registrations.append(request)
        self._nonces.remove(request.nonce)
        try:
            Ed25519PublicKey.from_public_bytes(self.secret_key.public_bytes()).verify(
                request.signature, proof.registration(request.nonce, request.certificate_request)
            )
        except InvalidSignature:
            await refuse(context, Reason.WRONG_SECRET)
        worker_id = f"w-{secrets.token_hex(8)}"
        return pb.RegisterResponse(
            worker_id=worker_id,
            cluster_id=self.cluster_id,
            cluster_name="keen-coffee",
            certificate=self._issue(worker_id, request.certificate_request),
            configuration=self.configuration(),
        )

    async def Watch(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.Instruction]:
        await self._begin("Watch", context)
        await self._prove("Watch", b"", context)
        queue: asyncio.Queue[pb.Instruction] = asyncio.Queue()
        self._streams.append(queue)
        reading = asyncio.create_task(self._read(request_iterator))
        try:
            yield pb.Instruction(configuration=self.configuration())
            while True:
                yield await queue.get()
        finally:
            self._streams.remove(queue)
            reading.cancel()

    async def Heartbeat(self, request: pb.WorkerReport, context: Any) -> pb.HeartbeatResponse:
        await self._begin("Heartbeat", context)
        await self._prove("Heartbeat", request.SerializeToString(), context)
        self.reports.append(request)
        return pb.HeartbeatResponse()

    async def GetLease(self, request: pb.GetLeaseRequest, context: Any) -> pb.GetLeaseResponse:
        await self._begin("GetLease", context)
        await self._prove("GetLease", request.SerializeToString(), context)
        self.leases.append(request)
        found = ticket.verify(request.ticket, keys={KEY_ID: self.ticket_key.public_key()}, at=now())
        if found.resource_id not in self.targets:
            await refuse(context, Reason.NO_ACCESS, "Nobody gave you access to this.")
        response = pb.GetLeaseResponse(
            person=pb.Person(account_id=found.account_id, email="alice@example.com", name="Alice"),
            target=self.targets[found.resource_id],
        )
        response.cancel_secret = self.cancel_secret
        response.good_until.FromDatetime(now() + dt.timedelta(seconds=self.lease_seconds))
        if self.ends_at is not None:
            response.ends_at.FromDatetime(self.ends_at)
        return response

    async def CheckSessions(self, request: pb.CheckSessionsRequest, context: Any) -> pb.CheckSessionsResponse:
        await self._begin("CheckSessions", context)
        await self._prove("CheckSessions", request.SerializeToString(), context)
        self.checks.append(request)
        return pb.CheckSessionsResponse(verdicts=[self._verdict(session) for session in request.sessions])

    async def DeliverRecords(
        self, request: pb.DeliverRecordsRequest, context: Any
    ) -> pb.DeliverRecordsResponse:
        await self._begin("DeliverRecords", context)
        self.records.extend(decoded(request.records))
        return pb.DeliverRecordsResponse()

    async def ListTargets(self, request: pb.ListTargetsRequest, context: Any) -> pb.ListTargetsResponse:
        await self._begin("ListTargets", context)
        return pb.ListTargetsResponse(targets=self.listed)

    async def GetTarget(self, request: pb.GetTargetRequest, context: Any) -> pb.GetTargetResponse:
        await self._begin("GetTarget", context)
        return pb.GetTargetResponse(target=self.targets[request.resource_id])

    async def ReportHealth(self, request: pb.ReportHealthRequest, context: Any) -> pb.ReportHealthResponse:
        await self._begin("ReportHealth", context)
        self.health.extend(request.checks)
        return pb.ReportHealthResponse()

    def _verdict(self, session: pb.LiveSession) -> pb.SessionVerdict:
        ending = self.endings.get(session.session_id) or self.endings.get(session.resource_id)
        verdict = pb.SessionVerdict(session_id=session.session_id, may_go_on=ending is None)
        if ending is not None:
            verdict.reason, verdict.message = ending
        elif self.ends_at is not None:
            verdict.ends_at.FromDatetime(self.ends_at)
        return verdict

    async def Renew(self, request: pb.RenewRequest, context: Any) -> pb.RenewResponse:
        await self._begin("Renew", context)
        await self._prove("Renew", request.SerializeToString(), context)
        return pb.RenewResponse(
            certificate=self._issue(f"w-{secrets.token_hex(8)}", request.certificate_request)
        )

    def configuration(self) -> pb.Configuration:
        return pb.Configuration(
            generation=self.generation,
            advertised_address="127.0.0.1:8443",
            client_authorities=[pem(self.clients.certificate)],
            heartbeat_seconds=self.heartbeat_seconds,
            revoked_clients=self.revoked,
            ticket_keys=[pb.TicketKey(id=KEY_ID, public_key=self.ticket_key.public_key().public_bytes_raw())],
            control_plane_pins=self.pins,
        )

    async def _read(self, reports: AsyncIterator[pb.WorkerReport]) -> None:
        async for report in reports:
            self.reports.append(report)

    async def _begin(self, name: str, context: Any) -> None:
        self.calls.append(name)
        if name in self.hanging:
            await asyncio.sleep(60)
        if name in self.refusals:
            await refuse(context, *self.refusals[name])

    async def _prove(self, method: str, request: bytes, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        shown = proof.read(metadata[proof.METADATA])
        shown.check(f"/sdm.contract.v1.Workers/{method}", request)

    def _issue(self, worker_id: str, request: bytes) -> pb.Certificate:
        builder = profiles.leaf(
            WorkerName(DOMAIN, self.cluster_id, worker_id),
            key=csr.read(request),
            issuer=self.workers.certificate,
            at=now(),
            hosts=[self.host],
        )
        if self.life is not None:
            builder._not_valid_after = (now() + self.life).replace(tzinfo=None)
        leaf = self.workers.sign(builder)
        certificate = pb.Certificate(chain=pem(leaf) + pem(self.workers.certificate))
        certificate.not_after.FromDatetime(leaf.not_valid_after_utc)
        return certificate


async def refuse(context: Any, reason: Reason | str, message: str = "") -> None:
    text = message or (reason.sentence if isinstance(reason, Reason) else "")
    await context.abort(
        grpc.StatusCode.PERMISSION_DENIED, text, trailing_metadata=((reasons.METADATA, str(reason)),)
    )


def client_context(*, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Like `curl -k`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    tell_truncation(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context
