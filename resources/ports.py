"""The port that a resource has on people's own machines: the same on each of them, and no other resource's."""

from django.db.models import Max

from resources.models import Resource

# Below are the ports that only root may open.
LOWEST, HIGHEST = 1_025, 65_535
FIRST = 10_000
# From here on systems take ports for connections that go out, so one may be in use when it is wanted.
_EPHEMERAL = 32_768


class PortTaken(Exception):
    """Another resource has this port; the message is its name."""


def free_port() -> int | None:
    """The next one, so that a port that was given back is not another resource's at once; None when all are taken."""
    usual = Resource.objects.filter(port_override__gte=FIRST, port_override__lt=_EPHEMERAL)
    highest = usual.aggregate(highest=Max("port_override"))["highest"]
    if highest is None or highest + 1 < _EPHEMERAL:
        return FIRST if highest is None else highest + 1
    taken = set(Resource.objects.filter(port_override__gte=FIRST).values_list("port_override", flat=True))
    return next((port for port in range(FIRST, HIGHEST + 1) if port not in taken), None)


def holder_of(port: int, *, but: Resource | None = None) -> str:
    """The name of the resource that has this port; empty when none has."""
    rows = Resource.objects.filter(port_override=port)
    rows = rows.exclude(pk=but.pk) if but else rows
    return rows.values_list("name", flat=True).first() or ""
