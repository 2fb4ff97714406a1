"""What is read of authorities and certificates."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from django.conf import settings
from django.db.models import Case, Count, Max, QuerySet, Value, When
from django.http import Http404
from django.utils import timezone

from authority.models import Certificate, CertificateAuthority, Purpose
from sdm.pki import chain, names, profiles
from sdm.pki.chain import Authorities, Untrusted
from sdm.pki.names import Kind

Phase = CertificateAuthority.Phase

# Authorities live for years; those that were retired longest ago fall off the page.
_RETIRED_SHOWN = 5
# Time enough to rotate it at leisure.
ENDS_SOON = dt.timedelta(days=180)


class Unknown(Untrusted):
    """An authority of ours signed it, and yet it is not remembered."""


# --- For those that check certificates ----------------------------------------------------------


def trusted(purpose: Purpose) -> list[str]:
    """The certificates to trust, in PEM, the one that signs first; none before the first was issued."""
    order = Case(*(When(phase=phase, then=Value(n)) for n, phase in enumerate(CertificateAuthority.TRUSTED)))
    rows = CertificateAuthority.objects.filter(purpose=purpose, phase__in=CertificateAuthority.TRUSTED)
    return list(rows.order_by(order).values_list("certificate", flat=True))


def revoked_serials(purpose: Purpose) -> list[str]:
    """Of certificates that have not expired, as `sdm.pki.chain.serial_of` writes them."""
    rows = Certificate.objects.revoked().filter(authority__purpose=purpose)
    return list(rows.order_by("serial").values_list("serial", flat=True))


def pins(purpose: Purpose) -> list[str]:
    """SHA-256 of the certificates to trust, in hexadecimal."""
    rows = CertificateAuthority.objects.filter(purpose=purpose, phase__in=CertificateAuthority.TRUSTED)
    return list(rows.order_by("created_at", "pk").values_list("fingerprint", flat=True))


def written_pins() -> str:
    """The value of SDM_APP_CA_PIN: empty while no authority of ours answers workers."""
    return ",".join(f"sha256:{pin}" for pin in pins(Purpose.CONTROL))


def control_plane_variables() -> dict[str, str]:
    """What tells a worker or a client on another machine where the control plane is, and that it is this one that
    answers, when no public authority says so."""
    pins = written_pins() if settings.API_OWN_CERTIFICATE else ""
    return {"SDM_APP_DOMAIN": settings.APP_DOMAIN, **({"SDM_APP_CA_PIN": pins} if pins else {})}


def topic(purpose: str) -> str:
    """What is published when either of the two lists above has changed."""
    return f"authority:{purpose}"


def identify(purpose: Purpose, certificate_pem: str | bytes, *, lock: bool = False) -> Certificate:
    """The certificate that a peer shows; an `sdm.pki.chain.Untrusted` when it is not to be accepted.

    Whether the peer has its key is for the caller to prove: a certificate is no secret. With `lock` it is not
    revoked before the transaction ends.
    """
    leaf = chain.read(certificate_pem)
    name = _authorities(purpose, tuple(trusted(purpose))).verify(leaf, at=timezone.now())
    rows = Certificate.objects.select_for_update() if lock else Certificate.objects.all()
    row = rows.filter(serial=chain.serial_of(leaf)).first()
    if row is None or row.fingerprint != chain.fingerprint(leaf) or row.spiffe_id != str(name):
        raise Unknown("This certificate is not one of those that are remembered here.")
    if row.revoked_at is not None:
        raise chain.Revoked("This certificate was revoked.")
    return row


def trust_domain_wanted() -> str:
    """What an installation that has no trust domain yet is called: its host, unless that is an IPv6 address."""
    host = settings.CONSOLE_HOST.lower().removesuffix(".")
    return host if names.is_trust_domain(host) else "proxy-clusters"


@lru_cache(maxsize=8)
def _authorities(purpose: Purpose, certificates: tuple[str, ...]) -> Authorities:
    return chain.trust(Kind(purpose), certificates)


# --- For rotating, and the page ---------------------------------------------------------------------


class Step(StrEnum):
    """What can be done next with the authorities of one purpose."""

    BEGIN = "begin"
    SWITCH = "switch"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class AuthorityRow:
    """An authority as the page shows it."""

    authority: CertificateAuthority
    # Certificates of it that are accepted now.
    live: int

    @property
    def ends_soon(self) -> bool:
        return self.authority.not_after < timezone.now() + ENDS_SOON


@dataclass(frozen=True, slots=True)
class Overview:
    """The authorities of one purpose: those that are trusted first, then the last that were retired."""

    purpose: Purpose
    rows: Sequence[AuthorityRow]

    @property
    def step(self) -> Step | None:
        """None while there is nothing to rotate."""
        phases = {row.authority.phase for row in self.rows}
        if Phase.NEXT in phases:
            return Step.SWITCH
        if Phase.RETIRING in phases:
            return Step.FINISH
        return Step.BEGIN if Phase.ACTIVE in phases else None

    @property
    def pins(self) -> str:
        """What workers pin, as their setting holds it; of the control plane's alone, since it answers them."""
        return written_pins() if self.purpose == Purpose.CONTROL else ""

    @property
    def warning(self) -> str:
        """Why the next step would shut somebody out if it were taken now; empty when it would not."""
        for row in self.rows:
            if row.authority.phase == Phase.NEXT:
                return why_not_switch(row.authority)
            if row.authority.phase == Phase.RETIRING:
                return why_not_finish(row.authority)
        return ""


def overview(purpose: Purpose) -> Overview:
    authorities = CertificateAuthority.objects.filter(purpose=purpose).order_by("-created_at", "-pk")
    current = list(authorities.exclude(phase=Phase.RETIRED))
    retired = list(authorities.filter(phase=Phase.RETIRED)[:_RETIRED_SHOWN])
    live = Certificate.objects.live().filter(authority__in=current).order_by()
    counts = dict(live.values_list("authority").annotate(Count("pk")))
    return Overview(purpose, [AuthorityRow(each, counts.get(each.pk, 0)) for each in current + retired])


def why_not_switch(authority: CertificateAuthority) -> str:
    """Whoever got a certificate since it was made knows that it is trusted; the others do by then at the latest."""
    known = authority.phase_since + profiles.WORKER.lifetime
    if known <= timezone.now():
        return ""
    if authority.purpose == Purpose.CONTROL:
        return (
            "Workers hear of the next authority while they are connected. One that was away since does not know it "
            f"before {_moment(known)}, unless it pins it."
        )
    return f"Workers and clients that were not in touch since may not know the new authority before {_moment(known)}."


def why_not_finish(authority: CertificateAuthority) -> str:
    live = Certificate.objects.live().filter(authority=authority)
    found = live.aggregate(count=Count("pk"), last=Max("not_after"))
    if not found["count"]:
        return ""
    some = "1 certificate is" if found["count"] == 1 else f"{found['count']:,} certificates are"
    return f"{some} still signed by the old authority, the last until {_moment(found['last'])}."


def has_authority(purpose: Purpose) -> bool:
    return CertificateAuthority.objects.filter(purpose=purpose).exists()


def revoked_certificates() -> QuerySet[Certificate]:
    return Certificate.objects.revoked().select_related("authority")


def purpose_or_404(text: str) -> Purpose:
    if text not in Purpose.values:
        raise Http404
    return Purpose(text)


def step_or_404(text: str) -> Step:
    if text not in set(Step):
        raise Http404
    return Step(text)


def _moment(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
