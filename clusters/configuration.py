"""What the workers of a cluster work by, and its number.

The number counts up when the contents differ from what it last stood for. Whoever changes a cluster, a window or an
authority need not know of it: the next one who reads the configuration counts.
"""

import hashlib
import json
from dataclasses import asdict, dataclass

from django.db.models import F

from authority.models import Purpose
from authority.selectors import pins, revoked_serials, trusted
from authority.ticket_keys import ticket_keys
from clusters.models import Cluster


@dataclass(frozen=True, slots=True)
class Contents:
    address: str
    client_authorities: tuple[str, ...]
    revoked_clients: tuple[str, ...]
    control_plane_pins: tuple[str, ...]
    # Id, and the public half in hexadecimal.
    ticket_keys: tuple[tuple[str, str], ...]
    # Cron schedule, and whether idleness is required.
    windows: tuple[tuple[str, bool], ...]

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Configuration:
    generation: int
    contents: Contents


def configuration_of(cluster: Cluster) -> Configuration:
    windows = cluster.maintenance_windows.values_list("cron_schedule", "require_idleness")
    contents = Contents(
        address=cluster.address,
        client_authorities=tuple(trusted(Purpose.CLIENT)),
        revoked_clients=tuple(revoked_serials(Purpose.CLIENT)),
        control_plane_pins=tuple(pins(Purpose.CONTROL)),
        ticket_keys=tuple((name, key.hex()) for name, key in ticket_keys().items()),
        windows=tuple(windows),
    )
    return Configuration(_generation(cluster, contents.digest), contents)


def _generation(cluster: Cluster, digest: str) -> int:
    if cluster.configuration_digest == digest:
        return cluster.configuration_generation
    # Of several who see the change at once, one counts.
    rows = Cluster.objects.filter(pk=cluster.pk)
    rows.exclude(configuration_digest=digest).update(
        configuration_digest=digest, configuration_generation=F("configuration_generation") + 1
    )
    return rows.values_list("configuration_generation", flat=True).first() or 0
