"""How a worker joins: it asks for a challenge, signs it with its cluster's secret key, and gets a certificate.

Challenges are not stored. They say when they were made and for which key, under a MAC, and a used one is remembered
until it would have expired.
"""

import datetime as dt
import hashlib
import hmac
import re
import secrets
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from audit.models import Activity
from audit.services import record
from audit.verbs import Verb
from authority.services import AuthorityExpired, Issued, issue_worker
from clusters.configuration import Configuration, configuration_of
from clusters.models import RetiredKey, Worker
from clusters.workers import Refused, worker_joined
from keys.models import ClusterKey
from sdm.contract import proof
from sdm.contract.address import Address
from sdm.contract.reasons import Reason
from sdm.pki.csr import BadRequest

CHALLENGE_LIVES = dt.timedelta(seconds=60)
_CHALLENGE = struct.Struct("!Q16s32s")
# Compared with when there is no such key, so that an answer takes as long for one that does not exist.
_NOBODY = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
_ACCESS_KEY = re.compile(r"gk-[0-9a-f]{16}")
_OF_A_KEY = frozenset(
    {Reason.WRONG_SECRET, Reason.OTHER_CLUSTERS_KEY, Reason.KEY_DELETED, Reason.CLUSTER_DELETED}
)
# A secret that is not this key's may be another's: looked for among so many.
_OTHERS = 200
_DELETED = (
    "The access key {} was deleted in the console. Add another key there, and start the worker with that."
)


@dataclass(frozen=True, slots=True)
class Application:
    """What a worker sends to join."""

    access_key: str
    nonce: bytes
    signature: bytes
    csr: bytes
    host_name: str
    version: str
    source_address: str
    maintenance_hour: int

    def is_signed_with(self, public_key: bytes) -> bool:
        signed = proof.registration(self.nonce, self.csr)
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(self.signature, signed)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Joined:
    worker: Worker
    certificate: Issued
    configuration: Configuration


def new_challenge(access_key: str) -> bytes:
    """A nonce that is good for one registration with this key within a minute."""
    check_form(access_key)
    milliseconds, chance = int(timezone.now().timestamp() * 1000), secrets.token_bytes(16)
    return _CHALLENGE.pack(milliseconds, chance, _mac(access_key, milliseconds, chance))


def check_form(access_key: str) -> None:
    """Refused when it cannot be an access key: it is not looked for, nor repeated."""
    if not _ACCESS_KEY.fullmatch(access_key):
        raise Refused(
            Reason.UNKNOWN_KEY, "An access key is gk- and 16 hexadecimal digits. Is this the secret key?"
        )


def check_clock(sent_at: dt.datetime) -> None:
    """Refused when the worker's clock is not ours: its certificates would fail without saying why."""
    now = timezone.now()
    ahead = sent_at - now
    if abs(ahead) <= proof.TOLERANCE:
        return
    minutes = (
        f"{abs(ahead).total_seconds() / 60:,.0f} minutes {'ahead' if ahead > dt.timedelta(0) else 'behind'}"
    )
    raise Refused(
        Reason.CLOCK,
        f"This machine's clock says {sent_at:%Y-%m-%d %H:%M:%S} UTC, the control plane's {now:%Y-%m-%d %H:%M:%S} UTC: "
        f"it is {minutes}. Set it, with NTP for one.",
    )


def join(application: Application) -> Joined:
    """Refused, with the reason, when the worker may not join."""
    try:
        return _join(application)
    except Refused as refused:
        _record(application, refused.reason)
        raise


def _join(application: Application) -> Joined:
    check_form(application.access_key)
    _check_challenge(application)
    _check_key(application)
    # From here on the challenge is used up, whatever comes of it.
    used = hashlib.sha256(application.nonce).hexdigest()
    if not cache.add(f"challenge:{used}", 1, CHALLENGE_LIVES.total_seconds() * 2):
        raise Refused(Reason.CHALLENGE_EXPIRED)
    try:
        with transaction.atomic():
            return _admit(application)
    except BadRequest as error:
        raise Refused(Reason.BAD_REQUEST, str(error)) from error
    except AuthorityExpired as error:
        raise Refused(Reason.UNAVAILABLE, str(error)) from error


def _record(application: Application, reason: Reason) -> None:
    """Once a minute for each key and reason, and once for all keys that never were: the log is kept for good."""
    key = application.access_key if reason in _OF_A_KEY else ""
    if (key or reason is Reason.UNKNOWN_KEY) and cache.add(f"worker-refused:{reason}:{key}", 1, 60):
        after = {"reason": reason.value, "host name": application.host_name}
        record(
            actor=None,
            verb=Verb.WORKER_REFUSED,
            entity_name=application.access_key[:32],
            after=after,
            outcome=Activity.Outcome.DENIED,
        )


def _admit(application: Application) -> Joined:
    # Locked: a key that is being deleted lets nobody in after its workers were stopped.
    keys = ClusterKey.objects.select_for_update(of=("self",)).select_related("cluster")
    key = keys.filter(pk=application.access_key).first()
    if key is None:
        raise Refused(Reason.KEY_DELETED, _DELETED.format(application.access_key))
    worker = worker_joined(
        cluster=key.cluster,
        access_key=key.pk,
        host_name=application.host_name,
        version=application.version,
        source_address=application.source_address,
        maintenance_hour=application.maintenance_hour,
    )
    issued = issue_worker(
        cluster_id=key.cluster_id,
        worker_id=worker.pk,
        host=Address.parse(key.cluster.address).host,
        csr_pem=application.csr,
    )
    worker.certificate_expires_at = issued.not_after
    worker.save(update_fields=["certificate_expires_at"])
    used = {"last_used_at": timezone.now(), "last_used_by": application.host_name}
    ClusterKey.objects.filter(pk=key.pk).update(**used)
    return Joined(worker, issued, configuration_of(key.cluster))


def _check_challenge(application: Application) -> None:
    try:
        milliseconds, chance, mac = _CHALLENGE.unpack(application.nonce)
    except struct.error:
        raise Refused(Reason.CHALLENGE_EXPIRED) from None
    genuine = hmac.compare_digest(mac, _mac(application.access_key, milliseconds, chance))
    age = timezone.now().timestamp() - milliseconds / 1000
    if not genuine or not 0 <= age + 1 <= CHALLENGE_LIVES.total_seconds() + 1:
        raise Refused(Reason.CHALLENGE_EXPIRED)


def _check_key(application: Application) -> None:
    key = ClusterKey.objects.filter(pk=application.access_key).first()
    retired = None if key else RetiredKey.objects.filter(pk=application.access_key).first()
    found = key or retired
    signed = application.is_signed_with(bytes(found.public_key) if found else _NOBODY)
    if found is None:
        raise Refused(
            Reason.UNKNOWN_KEY,
            f"There is no access key {application.access_key}. Copy both keys again from the console.",
        )
    if not signed:
        raise Refused(_whose(application, key))
    if retired is not None:
        raise Refused(Reason(retired.reason), _retired(retired))


def _retired(retired: RetiredKey) -> str:
    if retired.reason == Reason.KEY_DELETED:
        return _DELETED.format(retired.pk)
    return f"The cluster of the access key {retired.pk} was deleted. Use a key of another cluster."


def _whose(application: Application, key: ClusterKey | None) -> Reason:
    """Whether the secret is that of a key elsewhere: pasted from two places, it is a common mistake."""
    if key is None:
        return Reason.WRONG_SECRET
    others = ClusterKey.objects.exclude(cluster=key.cluster_id).order_by("-created_at")
    for public_key in others.values_list("public_key", flat=True)[:_OTHERS]:
        if application.is_signed_with(bytes(public_key)):
            return Reason.OTHER_CLUSTERS_KEY
    return Reason.WRONG_SECRET


def _mac(access_key: str, milliseconds: int, chance: bytes) -> bytes:
    said = b"%d\0%b\0%b" % (milliseconds, chance, access_key.encode("utf-8", "replace"))
    return salted_hmac("keys.joining", said, algorithm="sha256").digest()
