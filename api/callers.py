"""Who calls, by the proof in the call's metadata."""

import datetime as dt
from collections import OrderedDict
from collections.abc import Iterable

from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone
from google.protobuf.message import Message

from api.calls import Context
from authority.models import Certificate, Purpose
from authority.selectors import identify
from clusters.models import Worker
from clusters.workers import Refused, standing
from logins.models import ClientLogin
from logins.selectors import login_shown, login_to_renew
from sdm.contract import proof
from sdm.contract.proof import BadProof, Proof
from sdm.contract.reasons import Reason
from sdm.pki import chain

# In ten minutes, which is how long a proof may be good, a thousand workers make some 60,000 calls.
MAX_SEEN = 200_000


class Seen:
    """What was signed lately: the same proof does nothing twice (in this process)."""

    def __init__(self) -> None:
        self._until: OrderedDict[bytes, dt.datetime] = OrderedDict()

    def first_time(self, signed: bytes, at: dt.datetime) -> bool:
        self._forget(timezone.now())
        if signed in self._until:
            return False
        self._until[signed] = at + 2 * proof.TOLERANCE
        return True

    def _forget(self, now: dt.datetime) -> None:
        while self._until:
            oldest, until = next(iter(self._until.items()))
            if until > now and len(self._until) < MAX_SEEN:
                return
            del self._until[oldest]


class Proofs:
    """Those of one service's calls, each believed once."""

    def __init__(self, service: str, metadata: str) -> None:
        self._service = service
        self._metadata = metadata
        self._seen = Seen()

    def of(self, context: Context, method: str, request: Message | None = None) -> Proof:
        """The proof that came with a call, whose stream has no `request`; Refused when it proves nothing."""
        serialized = request.SerializeToString(deterministic=True) if request is not None else b""
        given, signed = _proof_in(
            context.invocation_metadata() or (), self._metadata, f"/{self._service}/{method}", serialized
        )
        if not self._seen.first_time(signed, given.at):
            raise Refused(Reason.BAD_PROOF, "The same proof was sent before.")
        return given


def _proof_in(
    metadata: Iterable[tuple[str, str | bytes]], key: str, method: str, request: bytes
) -> tuple[Proof, bytes]:
    """The proof, and what it signed."""
    found = [value for name, value in metadata if name == key]
    if len(found) != 1 or not isinstance(found[0], str):
        raise Refused(Reason.BAD_PROOF, f"The call needs {key} in its metadata, once.")
    try:
        given = proof.read(found[0])
        signed = given.check(method, request)
        chain.check_readable(given.certificate)
    except (BadProof, chain.Untrusted) as error:
        raise Refused(Reason.BAD_PROOF, str(error)) from error
    if not given.is_timely(timezone.now()):
        raise Refused(
            Reason.CLOCK,
            f"This machine's clock says {given.at:%Y-%m-%d %H:%M:%S} UTC, the control plane's "
            f"{timezone.now():%Y-%m-%d %H:%M:%S} UTC. Set it, with NTP for one.",
        )
    return given, signed


def worker_of(given: Proof) -> Worker:
    """The worker whose certificate it is, if it may go on."""
    try:
        issued = identify(Purpose.WORKER, pem_of(given))
    except chain.Expired as error:
        raise Refused(Reason.CERTIFICATE_EXPIRED, str(error)) from error
    except chain.Revoked as error:
        _say_why_it_was_stopped(given)
        raise Refused(Reason.CERTIFICATE_REVOKED) from error
    except chain.Untrusted as error:
        raise Refused(Reason.BAD_PROOF, str(error)) from error
    return standing(issued.subject_id)


def login_of(given: Proof) -> ClientLogin:
    """The login whose certificate it is, if it stands."""
    try:
        return login_shown(given.certificate)
    except chain.Expired as error:
        raise Refused(
            Reason.CERTIFICATE_EXPIRED, "The certificate of this machine has expired. Renew it."
        ) from error
    except chain.Untrusted as error:
        raise Refused(Reason.NOT_LOGGED_IN) from error


def login_renewing(given: Proof) -> ClientLogin:
    """The same, where an expired certificate is as good: its key proves that it is the machine of this login."""
    return login_to_renew(given.certificate)


def pem_of(given: Proof) -> bytes:
    return given.certificate.public_bytes(Encoding.PEM)


def _say_why_it_was_stopped(given: Proof) -> None:
    """A worker that was stopped has its certificate revoked as well; the reason for the first says more."""
    issued = Certificate.objects.filter(serial=chain.serial_of(given.certificate)).first()
    if issued is not None:
        standing(issued.subject_id)
