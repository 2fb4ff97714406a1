"""Who was refused a resource, for the log: not without bound, because a program that is refused asks again."""

from django.core.cache import cache

from access.decisions import Decision
from access.giving import refusal_record
from accounts.models import Account
from audit.models import Activity
from audit.services import record
from audit.verbs import Verb
from logins.selectors import LoginOver
from resources.models import Resource
from sdm.contract.ticket import BadTicket


class NoAccess(Exception):
    """The answer is no; the message is for the person, and says why."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.sentence)
        self.decision = decision


def decision_denied(account: Account, resource_id: str, decision: Decision) -> None:
    resource = Resource.objects.filter(pk=resource_id).first()
    # Deleted, or never there: the id is all there is to say.
    refusal_record(
        actor=account, resource=resource or Resource(pk=resource_id, name=resource_id), decision=decision
    )


def ticket_denied(
    error: BadTicket | LoginOver, *, worker_id: str, account: Account | None = None, resource_id: str = ""
) -> None:
    """A ticket that came by a worker and is not good: once a minute for each worker, account and reason."""
    reason = error.ending.value if isinstance(error, LoginOver) else "bad-ticket"
    if not cache.add(f"ticket-refused:{worker_id}:{account.pk if account else ''}:{reason}", 1, 60):
        return
    record(
        actor=account,
        verb=Verb.ACCESS_REFUSED,
        entity=Resource.objects.filter(pk=resource_id).first(),
        after={"reason": reason, "words": str(error), "worker": worker_id},
        outcome=Activity.Outcome.DENIED,
    )
