"""Where the secrets of second factors are kept, for the rotation of sealing keys.

allauth's hooks do not tell whose secret they seal, so all share one context; the row says whose it is.
"""

import base64
from collections.abc import Iterator

from allauth.mfa.models import Authenticator
from django.db import transaction

import sealing
from sealing.rotation import Item

SEALED_FOR = "accounts.second-factor"
# What allauth seals in `Authenticator.data`, by kind. The public half of a security key needs no sealing.
_FIELDS = {Authenticator.Type.TOTP: "secret", Authenticator.Type.RECOVERY_CODES: "seed"}


class SecondFactors:
    """A `sealing.rotation.Store`."""

    name = "second factors"

    def count(self, *, except_key: str) -> int:
        return sum(1 for _ in self.items(except_key=except_key))

    def items(self, *, except_key: str) -> Iterator[Item]:
        for pk, field, sealed in self._sealed():
            if sealing.key_id(sealed) != except_key:
                yield Item(SEALED_FOR, sealed, _Replacement(pk, field, sealed))

    def key_ids(self) -> set[str]:
        return {sealing.key_id(sealed) for _, _, sealed in self._sealed()}

    def _sealed(self) -> Iterator[tuple[int, str, bytes]]:
        for factor in Authenticator.objects.filter(type__in=_FIELDS).order_by("pk").iterator(500):
            field = _FIELDS[factor.type]
            yield factor.pk, field, base64.b64decode(factor.data[field])


class _Replacement:
    """Puts a newly sealed value where the old one was, unless somebody changed it meanwhile."""

    def __init__(self, pk: int, field: str, sealed: bytes) -> None:
        self.pk, self.field = pk, field
        self.old = base64.b64encode(sealed).decode()

    @transaction.atomic
    def __call__(self, new: bytes) -> bool:
        factor = Authenticator.objects.select_for_update().filter(pk=self.pk).first()
        if factor is None or factor.data[self.field] != self.old:
            return False
        # The rest of the data, such as which codes were used, stays as it is now.
        factor.data[self.field] = base64.b64encode(new).decode()
        factor.save(update_fields=["data"])
        return True
