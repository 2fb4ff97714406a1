"""Issuing, renewing and revoking certificates, and rotating the authorities that sign them.

That a certificate was issued is no activity of its own: workers and clients renew for as long as they run, and the
log is kept for good. Whoever lets somebody join records that; what was issued is in `Certificate` until it expires.
"""

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction
from django.utils import timezone

from accounts.models import Account
from audit.services import record, require
from audit.verbs import Verb
from authority import selectors, signing
from authority.models import (
    MAX_REASON,
    AuthorityKey,
    Certificate,
    CertificateAuthority,
    Purpose,
    TrustDomain,
)
from events.publishing import publish
from sdm.pki import chain, csr, names
from sdm.pki.names import ClientName, ControlName, Kind, WorkerName

CHANGE = "authority.change"
Phase = CertificateAuthority.Phase

# Expired certificates are remembered a little longer, for clocks that differ.
_REMEMBERED = dt.timedelta(hours=1)
# More than one, so that what is left when many stop renewing is removed by those that go on.
_FORGOTTEN_AT_ONCE = 10


class Refused(Exception):
    """What the actor may do, and yet not here and now. The message says why."""


class AuthorityExpired(Exception):
    """The authority that should sign has come to its end: it has to be rotated first."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate in PEM; `chain` is the same followed by its authority's, as a TLS server shows them."""

    certificate: str
    chain: str
    not_after: dt.datetime
    serial: str


# --- Certificates -------------------------------------------------------------------------------


def issue_worker(*, cluster_id: str, worker_id: str, csr_pem: str | bytes, host: str) -> Issued:
    """A worker's certificate, good for a day. The caller has made sure that it is this worker's request.

    `host` is what clients connect to. csr.BadRequest, or another ValueError with a sentence, when it cannot be.
    """
    return _issue(Purpose.WORKER, lambda domain: WorkerName(domain, cluster_id, worker_id), csr_pem, [host])


def issue_client(*, account_id: str, csr_pem: str | bytes) -> Issued:
    """A client's certificate, good for half a day. The caller has made sure that it is this account's request."""
    return _issue(Purpose.CLIENT, lambda domain: ClientName(domain, account_id), csr_pem)


def issue_control(*, csr_pem: str | bytes, hosts: Sequence[str]) -> Issued:
    """A certificate for the API, good for a day, by the names that workers and clients connect to."""
    return _issue(Purpose.CONTROL, ControlName, csr_pem, hosts)


@transaction.atomic
def renew(
    *, purpose: Purpose, certificate_pem: str | bytes, csr_pem: str | bytes, host: str | None = None
) -> Issued:
    """Another certificate for whom `certificate_pem` is for; a `chain.Untrusted` when it is not accepted itself.

    The caller has made sure that whoever asks has its key. An expired one is not renewed: its owner joins or signs
    in anew.
    """
    # Of renewing and revoking at once, one waits for the other.
    present = names.parse(selectors.identify(purpose, certificate_pem, lock=True).spiffe_id)
    return _issue(purpose, lambda domain: present, csr_pem, [] if host is None else [host])


@transaction.atomic
def revoke(
    *, actor: Account | None, subject_id: str, reason: str, serials: Collection[str] | None = None
) -> list[str]:
    """Revoke all that a worker or an account holds, or of it those with `serials`; the serial numbers, for those
    that have to be told.

    `reason` is a sentence for people. Without an actor the caller has decided who may.
    """
    if actor is not None:
        require(actor, CHANGE)
    held = Certificate.objects.live().filter(subject_id=subject_id)
    if serials is not None:
        held = held.filter(serial__in=serials)
    # Waits for renewals under way; the next statement sees what they issued.
    list(held.order_by("pk").select_for_update().values_list("pk"))
    now, reason = timezone.now(), reason[:MAX_REASON]
    if not held.update(revoked_at=now, revoked_reason=reason):
        return []
    revoked = Certificate.objects.filter(subject_id=subject_id, revoked_at=now).order_by("pk")
    told = list(revoked.values_list("serial", flat=True))
    for purpose in revoked.order_by().values_list("authority__purpose", flat=True).distinct():
        publish(selectors.topic(purpose))
    after = {"serial numbers": told, "reason": reason}
    record(actor=actor, verb=Verb.CERTIFICATES_REVOKED, entity_name=subject_id, after=after)
    return told


@transaction.atomic
def _issue(
    purpose: Purpose, name_in: Callable[[str], names.Name], csr_pem: str | bytes, hosts: Sequence[str] = ()
) -> Issued:
    key, at = csr.read(csr_pem), timezone.now()
    authority = _active(purpose) or _make_first(purpose)
    signer = signing.signer_of(authority)
    if at >= signer.certificate.not_valid_after_utc:
        raise AuthorityExpired(f"{authority} has expired, and signs no more. It has to be rotated.")
    name = name_in(signer.trust_domain)
    certificate = signer.sign(name, key=key, at=at, hosts=hosts)
    _remember(certificate, name, authority)
    _forget_expired(at)
    pem = certificate.public_bytes(Encoding.PEM).decode()
    return Issued(
        pem, pem + authority.certificate, certificate.not_valid_after_utc, chain.serial_of(certificate)
    )


def _active(purpose: Purpose) -> CertificateAuthority | None:
    rows = CertificateAuthority.objects.select_related("key")
    return rows.filter(purpose=purpose, phase=Phase.ACTIVE).first()


def _remember(certificate: x509.Certificate, name: names.Name, authority: CertificateAuthority) -> None:
    Certificate.objects.create(
        serial=chain.serial_of(certificate),
        authority=authority,
        spiffe_id=str(name),
        subject_id=name.subject_id,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=chain.fingerprint(certificate),
    )


def _forget_expired(now: dt.datetime) -> None:
    """Each that is issued makes room for itself, so that nobody has to sweep."""
    expired = Certificate.objects.filter(not_after__lt=now - _REMEMBERED).order_by("not_after")
    some = expired.select_for_update(skip_locked=True).values_list("pk", flat=True)[:_FORGOTTEN_AT_ONCE]
    if found := list(some):
        Certificate.objects.filter(pk__in=found).delete()


# --- Authorities ----------------------------------------------------------------------------------


@transaction.atomic
def rotation_begin(*, actor: Account, purpose: Purpose) -> CertificateAuthority:
    """Make the next authority. It is trusted from now on, so that all know it before it signs."""
    require(actor, CHANGE)
    domain, phases = locked(), _phases(purpose)
    if Phase.ACTIVE not in phases:
        raise Refused("There is no authority to rotate yet: it is made with the first certificate.")
    if len(phases) > 1:
        raise Refused("A rotation is under way already. Finish it first.")
    return _make(purpose, Phase.NEXT, domain, actor, Verb.ROTATION_BEGUN)


@transaction.atomic
def rotation_switch(*, actor: Account, purpose: Purpose, forced: bool = False) -> CertificateAuthority:
    """Let the next authority sign. The one before is trusted still, and its key is destroyed."""
    require(actor, CHANGE)
    locked()
    phases = _phases(purpose)
    new, old = phases.get(Phase.NEXT), phases.get(Phase.ACTIVE)
    if new is None or old is None:
        raise Refused("There is no next authority. Begin the rotation first.")
    if not forced and (reason := selectors.why_not_switch(new)):
        raise Refused(reason)
    _enter(old, Phase.RETIRING)
    AuthorityKey.objects.filter(authority=old).delete()
    _enter(new, Phase.ACTIVE)
    before, after = {"signs": old.subject}, {"signs": new.subject}
    publish(selectors.topic(purpose))
    record(actor=actor, verb=Verb.ROTATION_SWITCHED, entity=new, before=before, after=after)
    return new


@transaction.atomic
def rotation_finish(*, actor: Account, purpose: Purpose, forced: bool = False) -> CertificateAuthority:
    """Trust the old authority no more. Forced, what it signed is revoked with it."""
    require(actor, CHANGE)
    locked()
    old = _phases(purpose).get(Phase.RETIRING)
    if old is None:
        raise Refused("There is no old authority to retire.")
    if not forced and (reason := selectors.why_not_finish(old)):
        raise Refused(reason)
    _enter(old, Phase.RETIRED)
    live = Certificate.objects.live().filter(authority=old)
    revoked = live.update(revoked_at=timezone.now(), revoked_reason="Its authority was retired.")
    publish(selectors.topic(purpose))
    record(actor=actor, verb=Verb.ROTATION_FINISHED, entity=old, after={"certificates revoked": revoked})
    return old


def _make_first(purpose: Purpose) -> CertificateAuthority:
    domain = locked()
    # Perhaps somebody made it while we waited.
    return _active(purpose) or _make(purpose, Phase.ACTIVE, domain, None, Verb.AUTHORITY_CREATED)


def locked() -> TrustDomain:
    """The installation's name, made if need be: whoever has it changes authorities, and the others wait."""
    TrustDomain.objects.get_or_create(pk=TrustDomain.ONLY, defaults={"name": selectors.trust_domain_wanted()})
    return TrustDomain.objects.select_for_update().get(pk=TrustDomain.ONLY)


def _phases(purpose: Purpose) -> dict[str, CertificateAuthority]:
    """Those that are trusted, by phase: one in each at most."""
    rows = CertificateAuthority.objects.filter(purpose=purpose).exclude(phase=Phase.RETIRED)
    return {authority.phase: authority for authority in rows}


def _make(
    purpose: Purpose, phase: Phase, domain: TrustDomain, actor: Account | None, verb: Verb
) -> CertificateAuthority:
    authority = CertificateAuthority(purpose=purpose, phase=phase)
    label = f"Proxy Clusters {purpose.value} CA {authority.pk}"
    signer = signing.new_signer(Kind(purpose), label=label, trust_domain=domain.name, at=timezone.now())
    authority.subject = signer.certificate.subject.rfc4514_string()
    authority.certificate = signer.certificate.public_bytes(Encoding.PEM).decode()
    authority.fingerprint = chain.fingerprint(signer.certificate)
    authority.not_before = signer.certificate.not_valid_before_utc
    authority.not_after = signer.certificate.not_valid_after_utc
    authority.save(force_insert=True)
    signing.seal_key(signer, authority).save(force_insert=True)
    after = {
        "purpose": purpose.value,
        "phase": phase.value,
        "trust domain": domain.name,
        "fingerprint": authority.fingerprint,
        "valid until": authority.not_after.isoformat(),
    }
    publish(selectors.topic(purpose))
    record(actor=actor, verb=verb, entity=authority, after=after)
    return authority


def _enter(authority: CertificateAuthority, phase: Phase) -> None:
    authority.phase, authority.phase_since = phase, timezone.now()
    authority.save(update_fields=["phase", "phase_since"])
