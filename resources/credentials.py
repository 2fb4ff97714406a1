"""The one place where stored credentials are opened: for a lease, or for a check of a resource's health."""

from collections.abc import Mapping

import sealing
from resources.models import Resource


def opened(resource: Resource) -> Mapping[str, bytes]:
    """By field, in the clear. A SealingError, which shows nothing of them, when a sealing key is not there."""
    return {
        row.field: sealing.unseal(bytes(row.sealed), context=row.context)
        for row in resource.credentials.all()
    }
