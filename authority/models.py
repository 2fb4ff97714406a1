import datetime as dt
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from sdm.contract import ids
from sdm.pki import names
from sdm.pki.names import Kind

MAX_REASON = 200


def new_authority_id() -> str:
    return ids.new_id("ca")


def new_ticket_key_id() -> str:
    return ids.new_id("tk")


class Purpose(models.TextChoices):
    """Whom an authority signs for."""

    WORKER = Kind.WORKER.value, "Workers"
    CLIENT = Kind.CLIENT.value, "Clients"
    CONTROL = Kind.CONTROL.value, "Control plane"


class TrustDomain(models.Model):
    """What this installation is called in certificates, chosen once and kept. There is never more than this row.

    Whoever makes or rotates an authority locks it.
    """

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY)
    name = models.CharField(max_length=names.MAX_TRUST_DOMAIN)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="trust_domain_single")]

    def __str__(self) -> str:
        return self.name


class CertificateAuthority(models.Model):
    """One that signs certificates, did, or will. Its private key is in `AuthorityKey` while it may be used."""

    class Phase(models.TextChoices):
        NEXT = "next", "Next: trusted, does not sign yet"
        ACTIVE = "active", "Active: signs"
        RETIRING = "retiring", "Retiring: trusted, signs no more"
        RETIRED = "retired", "Retired: not trusted any more"

    TRUSTED: ClassVar[tuple[Phase, ...]] = (Phase.ACTIVE, Phase.NEXT, Phase.RETIRING)

    id = models.CharField(
        primary_key=True, max_length=ids.MAX_LENGTH, default=new_authority_id, editable=False
    )
    purpose = models.CharField(max_length=8, choices=Purpose.choices)
    phase = models.CharField(max_length=8, choices=Phase.choices)
    phase_since = models.DateTimeField(default=timezone.now)
    # PEM, and what the page shows of it.
    certificate = models.TextField()
    subject = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=64, unique=True)
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            # Of two processes that make the first one at once, one fails and takes the other's.
            models.UniqueConstraint(
                fields=["purpose", "phase"],
                condition=Q(phase__in=["next", "active", "retiring"]),
                name="authority_phase_unique",
            )
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def short_phase(self) -> str:
        return self.get_phase_display().partition(":")[0]


class AuthorityKey(models.Model):
    """The private key of an authority, sealed. Removed as soon as it will not sign any more."""

    authority = models.OneToOneField(
        CertificateAuthority, on_delete=models.CASCADE, primary_key=True, related_name="key"
    )
    # `sealing.envelope`, bound to the authority's id; PKCS#8 in DER.
    sealed = models.BinaryField()
    key_id = models.CharField(max_length=16, db_index=True)  # rotation finds what an old key sealed

    def __str__(self) -> str:
        return f"key of {self.authority_id}"

    @property
    def context(self) -> str:
        """What the sealed key is bound to: moved to another row, it does not open."""
        return f"authority.authoritykey:{self.authority_id}"


class TicketKey(models.Model):
    """An Ed25519 key that signs tickets, from a moment on and until the next one does. Workers know it before."""

    id = models.CharField(
        primary_key=True, max_length=ids.MAX_LENGTH, default=new_ticket_key_id, editable=False
    )
    public_key = models.BinaryField(max_length=32)
    # `sealing.envelope`, bound to the key's id; the 32 bytes of the private key.
    sealed = models.BinaryField()
    key_id = models.CharField(max_length=16, db_index=True)  # rotation finds what an old key sealed
    signs_from = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.pk

    @property
    def context(self) -> str:
        """What the sealed key is bound to: moved to another row, it does not open."""
        return f"authority.ticketkey:{self.pk}"


class CertificateQuerySet(models.QuerySet["Certificate"]):
    def unexpired(self, at: dt.datetime | None = None) -> "CertificateQuerySet":
        return self.filter(not_after__gte=at or timezone.now())

    def live(self) -> "CertificateQuerySet":
        """Those that are accepted: neither expired nor revoked."""
        return self.unexpired().filter(revoked_at=None)

    def revoked(self) -> "CertificateQuerySet":
        """Those that would be accepted, had they not been revoked."""
        return self.unexpired().exclude(revoked_at=None)


class Certificate(models.Model):
    """A leaf that was issued, remembered until it has expired."""

    id = models.BigAutoField(primary_key=True)
    # 40 hexadecimal digits, as `sdm.pki.chain.serial_of` writes it.
    serial = models.CharField(max_length=40, unique=True)
    authority = models.ForeignKey(
        CertificateAuthority, on_delete=models.PROTECT, related_name="certificates", db_index=False
    )
    spiffe_id = models.CharField(max_length=names.MAX_LENGTH)
    # The worker's or account's id alone.
    subject_id = models.CharField(max_length=ids.MAX_LENGTH)
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    fingerprint = models.CharField(max_length=64)
    issued_at = models.DateTimeField(default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(null=True)
    revoked_reason = models.CharField(max_length=MAX_REASON, blank=True)

    objects = CertificateQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["subject_id", "not_after"], name="certificate_subject"
            ),  # revoking, by subject
            models.Index(
                fields=["authority", "not_after"], name="certificate_authority"
            ),  # counting the live
            models.Index(fields=["not_after"], name="certificate_expiry"),  # removing what has expired
            # The list of the revoked, newest first: few among many.
            models.Index(
                fields=["revoked_at", "id"], condition=Q(revoked_at__isnull=False), name="certificate_revoked"
            ),
        ]

    def __str__(self) -> str:
        return self.spiffe_id
