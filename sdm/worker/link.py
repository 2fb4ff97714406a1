"""The link process: what the fronts serve by, whom the control plane hears from, and what others may ask of us."""

import asyncio
import datetime as dt
import logging
import os
import socket
import time
from collections.abc import Iterable, Sequence

from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as pb
from sdm.control_plane.refusals import ControlError
from sdm.exit_codes import ExitCode
from sdm.version import VERSION
from sdm.worker import copying, delivery, metrics, probes
from sdm.worker.certificate_files import CertificateFiles, Pair
from sdm.worker.channel import (
    End,
    Goodbye,
    Identity,
    Leaving,
    Lines,
    Load,
    Message,
    Reload,
    Settings,
    Trusted,
    encode,
)
from sdm.worker.config import Audit, CertSource, Config
from sdm.worker.control.calls import Me
from sdm.worker.control.membership import Membership
from sdm.worker.copying import Copying
from sdm.worker.delivery import Delivery
from sdm.worker.desk.place import Place
from sdm.worker.desk.server import Desk
from sdm.worker.health import Health
from sdm.worker.lasting import lasting
from sdm.worker.listeners import Listeners
from sdm.worker.lost import Lost
from sdm.worker.probes import Answer
from sdm.worker.spool import Run
from sdm.worker.tls import BadPair
from sdm.worker.unread import Unread

log = logging.getLogger(__name__)

_GOODBYE_TIMEOUT = 1.5
# What does not get through until then, the next worker delivers.
_LAST_RECORDS_TIMEOUT, _LAST_LINES_TIMEOUT = 1.0, 0.3
_LOOK_AT_FILES_EVERY = 2.0
_READ_FILES_EVERY = 24 * 3600.0


def main(listeners: Listeners, channel: socket.socket, config: Config, spool: Run, place: Place) -> None:
    asyncio.run(_run(listeners, channel, config, spool, place))


async def _run(
    listeners: Listeners, channel: socket.socket, config: Config, spool: Run, place: Place
) -> None:
    reader, writer = await asyncio.open_connection(sock=channel)
    link = Link(config, writer, place, spool)
    servers = [
        await link.desk.serve(),
        *[
            await probes.serve(sock, pages)
            for sock, pages in (
                (listeners.probes, {"/liveness": link.liveness, "/readiness": link.readiness}),
                (listeners.metrics, {"/metrics": link.metrics}),
            )
            if sock is not None
        ],
    ]
    lines = Lines()
    work: asyncio.Task[None] | None = None
    try:
        while data := await reader.read(1 << 16):
            for message in lines.feed(data):
                if isinstance(message, Identity):
                    work = asyncio.create_task(link.work(message))
                    work.add_done_callback(_surface)
                elif isinstance(message, Goodbye):
                    await link.say_goodbye(restarting=message.restarting)
                    return
                else:
                    link.take(message)
    finally:
        if work is not None:
            work.cancel()
        for server in servers:
            server.close()
        writer.close()


def _surface(task: asyncio.Task[None]) -> None:
    """A fault of ours ends this process, and the supervisor starts it again."""
    if not task.cancelled() and (error := task.exception()):
        log.error("The control link failed.", exc_info=error)
        os._exit(ExitCode.FAILURE)


class Link:
    def __init__(self, config: Config, writer: asyncio.StreamWriter, place: Place, spool: Run) -> None:
        self._config = config
        self._unread = Unread(spool, [delivery.READER, *([copying.READER] if config.second_copy else [])])
        self._delivery: Delivery | None = None
        self._lost = Lost(spool, config, self._is_behind)
        self._copying = Copying.of(config, self._unread)
        self._writer = writer
        self.desk = Desk(self, place, offline_grace=config.offline_grace, share=config.sessions_per_person)
        self._health = Health()
        self._files = CertificateFiles.of(config)
        self._pair: Pair | None = None
        self._membership: Membership | None = None
        self._me: Me | None = None
        self._pins: list[str] = []
        self._cluster = ""
        self._configuration = pb.Configuration()
        self._state = pb.WORKER_STATE_NEW
        self._problem = ""
        self._load = Load(processes=0)
        self._cpu_percent = 0
        self._load_at = time.monotonic()
        self._connected = False
        self._leaving = False
        self._sent: Settings | None = None
        self._told: Trusted | None = None
        self._reload = asyncio.Event()
        self.changed = asyncio.Event()

    # --- Work ---

    async def work(self, known: Identity) -> None:
        self._me = Me.of(known) if known.worker_id else None
        self._pins = known.pins
        self._membership = Membership(self._config, self, VERSION, self._me, known.pins)
        self._delivery = Delivery(self._unread, self._membership.deliver_records)
        if self._me is not None:
            self._unread.belongs_to(self._me.name.cluster_id)
        try:
            if self._files is not None:
                self._read_files(self._files)
            self._publish()
            works = [self._membership.keep(), self.desk.work(), self._delivery.keep()]
            works += [self._health.keep(self._membership), self._lost.keep()]
            if self._copying is not None:
                works.append(self._copying.keep())
            if self._files is not None:
                works.append(self._watch_files(self._files))
            async with asyncio.TaskGroup() as tasks:
                for work in works:
                    tasks.create_task(lasting(work))
        except* ControlError as group:
            self._send(End(ExitCode.REFUSED, _last_line(group), at_once=True))

    async def say_goodbye(self, *, restarting: bool) -> None:
        self._state = pb.WORKER_STATE_RESTARTING if restarting else pb.WORKER_STATE_STOPPED
        if self._delivery is not None:
            await self._delivery.finish(_LAST_RECORDS_TIMEOUT)
        if self._copying is not None:
            await self._copying.finish(_LAST_LINES_TIMEOUT)
        if self._membership is not None:
            await self._membership.say_goodbye(_GOODBYE_TIMEOUT)

    def take(self, message: Message) -> None:
        """What the supervisor says."""
        match message:
            case Load():
                self._measure(message)
            case Reload():
                self._reload.set()
            case Leaving():
                self._leaving = True
                self.changed.set()

    def _measure(self, load: Load) -> None:
        now = time.monotonic()
        spent = max(0.0, load.cpu_seconds - self._load.cpu_seconds)
        self._cpu_percent = round(100 * spent / max(now - self._load_at, 0.1))
        self._load, self._load_at = load, now

    # --- What the membership tells ---

    def report(self) -> pb.WorkerReport:
        return pb.WorkerReport(
            state=self._state,
            connections=self._load.connections,
            cpu_percent=self._cpu_percent,
            configuration_generation=self._configuration.generation,
            problems=self._problems(),
            version=VERSION,
            session_ids=self.desk.session_ids,
        )

    def joined(self, me: Me, cluster: str) -> None:
        self._me = me
        self._cluster = cluster or self._cluster
        self._unread.belongs_to(me.name.cluster_id)
        self._send(me.as_identity(self._pins))
        if self._configuration.generation:  # until it is known whom to trust, nobody is let in
            self._tell_whom_to_trust()
            self._publish()

    def connected(self, up: bool) -> None:
        if up and not self._connected:
            log.info("Connected to the control plane at %s.", self._config.control_plane)
            if self._delivery is not None:
                self._delivery.hurry()
        self._connected = up
        self.desk.connected(up)
        if up:
            self._health.look()

    def recheck(self) -> None:
        self.desk.recheck()
        self._health.look()

    def check_health(self, resource_ids: Iterable[str]) -> None:
        self._health.check_now(resource_ids)

    async def get_lease(self, request: pb.GetLeaseRequest) -> pb.GetLeaseResponse:
        return await self._member().get_lease(request)

    async def check_sessions(self, request: pb.CheckSessionsRequest) -> pb.CheckSessionsResponse:
        return await self._member().check_sessions(request)

    def lost(self, session_ids: Sequence[str]) -> None:
        self._lost.add(session_ids)

    def _is_behind(self) -> bool:
        return self._delivery is None or self._delivery.seconds_behind > 0

    def _member(self) -> Membership:
        if self._membership is None:
            raise ControlError(Reason.UNAVAILABLE, "The worker has not joined yet.")
        return self._membership

    def configure(self, configuration: pb.Configuration) -> None:
        if configuration != self._configuration:
            self._configuration = configuration
            self._tell_whom_to_trust()
            self._publish()
            self.changed.set()
        if self._me is not None and self._pins != [*configuration.control_plane_pins]:
            self._pins = [*configuration.control_plane_pins]
            self._send(self._me.as_identity(self._pins))

    def restart(self, *, cut_connections: bool) -> None:
        """Said again and again while it may be: with connections that may not be cut there is nothing to remember."""
        if self._leaving or (self._load.connections and not cut_connections):
            return
        self._state, self._leaving = pb.WORKER_STATE_RESTARTING, True
        self.changed.set()
        self._send(End(ExitCode.RESTART, "The control plane asks for a restart."))

    def _tell_whom_to_trust(self) -> None:
        """Once it is known: fronts keep what an earlier link has told them."""
        if self._me is None or not self._configuration.generation:
            return
        told = self._configuration
        trusted = Trusted(
            cluster_id=self._me.name.cluster_id,
            worker_id=self._me.worker_id,
            ticket_keys={key.id: key.public_key.hex() for key in told.ticket_keys},
            client_authorities=[pem.decode() for pem in told.client_authorities],
            revoked_clients=[*told.revoked_clients],
        )
        if trusted != self._told:
            self._told = trusted
            self._send(trusted)

    # --- Certificates ---

    def _publish(self) -> None:
        """Hand the fronts what they serve by, if it is another than before."""
        pair = self._served()
        if pair is None:
            return
        settings = Settings(pair.chain.decode(), pair.key.decode())
        if settings != self._sent:
            self._sent = settings
            self._send(settings)
        if self._state == pb.WORKER_STATE_NEW:
            self._state = pb.WORKER_STATE_STARTED
            self.changed.set()

    def _served(self) -> Pair | None:
        """None until it is known: a worker that has not joined serves nobody."""
        if self._me is None:
            return None
        if self._config.cert_source is CertSource.NONE:
            return Pair(b"", b"")
        if self._config.cert_source is CertSource.FILE:
            return self._pair
        return Pair(self._me.chain, self._me.key_pem.encode())

    async def _watch_files(self, files: CertificateFiles) -> None:
        read = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(_LOOK_AT_FILES_EVERY):
                    await self._reload.wait()
            except TimeoutError:
                fresh = time.monotonic() - read < _READ_FILES_EVERY and not (
                    self._pair and self._pair.has_expired
                )
                if fresh and not files.have_changed():
                    continue
            before, asked = self._pair, self._reload.is_set()
            self._reload.clear()
            read = time.monotonic()
            self._read_files(files)
            if asked and self._pair == before:
                log.info("The certificate's files were read again, and the same one stays in use.")

    def _read_files(self, files: CertificateFiles) -> None:
        before, problem = self._pair, ""
        try:
            self._pair = files.load()
        except BadPair as error:
            problem = f"{error} The pair read before stays in use." if before else str(error)
        if problem and problem != self._problem:
            log.error("%s", problem)
        if not problem and self._pair != before:
            log.info("The certificate is read from %s.", self._config.cert_file)
        if problem != self._problem:
            self._problem = problem
            self.changed.set()
        self._publish()

    # --- What others ask ---

    def liveness(self) -> Answer:
        return Answer(200, "OK", b"alive\n")

    def readiness(self) -> Answer:
        why_not = self._why_not_ready()
        if why_not:
            return Answer(503, "Service Unavailable", f"not ready: {why_not}\n".encode())
        return Answer(200, "OK", b"ready\n")

    def metrics(self) -> Answer:
        text = metrics.exposition(
            metrics.Snapshot(
                version=VERSION,
                worker_id=self._me.worker_id if self._me else "",
                cluster=self._cluster,
                ready=not self._why_not_ready(),
                connected=self._connected,
                certificate=served.certificate if (served := self._served()) else None,
                identity=self._me.certificate if self._me else None,
                problems=len(self._problems()),
                offline_grace=self.desk.seconds_left,
                log_bytes=self._unread.held_bytes,
                log_seconds=self._delivery.seconds_behind if self._delivery else 0,
                log_delivered=self._delivery.records if self._delivery else 0,
                log_damaged=self._unread.damaged_bytes,
                load=self._load,
            )
        )
        return Answer(200, "OK", text, metrics.CONTENT_TYPE)

    def _why_not_ready(self) -> str:
        if self._leaving:
            return "stopping"
        if self._me is None:
            return "not joined yet"
        if self._sent is None:
            return "no certificate"
        if self._load.log_problem and self._config.audit is Audit.STRICT:
            return "requests cannot be logged"
        return "" if self._load.processes else "no front process"

    def _problems(self) -> list[str]:
        of_the_log = self._delivery.problem if self._delivery else ""
        of_the_copy = self._copying.problem if self._copying else ""
        found = [each for each in (self._problem, self._load.log_problem, of_the_log, of_the_copy) if each]
        if self._me is not None and self._me.certificate.not_valid_after_utc < dt.datetime.now(dt.UTC):
            found.append("The worker's certificate has expired, and the control plane could not renew it.")
        return found

    def _send(self, message: Message) -> None:
        self._writer.write(encode(message))


def _last_line(group: BaseExceptionGroup[ControlError]) -> str:
    error = group.exceptions[0]
    reason = error.reason.value if isinstance(error, ControlError) else ""
    return f"Ended: {error} ({reason})"
