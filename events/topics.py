"""Topics that several parts announce. What concerns one part alone is named in that part."""

from events.publishing import publish

# Who may reach what may have changed: a role, a rule, a member, a grant, a level, a suspension, or a resource that
# was added, changed, moved or removed. Whoever holds sessions open hears it and decides again (`access.decisions`);
# whoever keeps something for a resource forgets it.
ACCESS = "access"
# A resource's health is another than it was.
HEALTH = "health"


def access_changed(**where: str) -> None:
    """Announce with the transaction at hand. `where` narrows what has to be looked at: the id of an `account`, a
    `resource`, a `role` or a `cluster`; without, it is everything."""
    publish(ACCESS, where)
