from collections.abc import Iterator

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import Account
from audit import append_only
from audit.models import Activity, AppendOnlyError
from audit.services import record
from audit.verbs import Verb


@pytest.fixture
def guarded(db: None) -> Iterator[None]:
    """The guard as the migration put it up; on SQLite tests/conftest.py took it down."""
    if connection.vendor == "sqlite":
        for statement in append_only.SQLITE:
            with connection.cursor() as cursor:
                cursor.execute(statement)
    yield


def test_python_changes_and_removes_nothing(alice: Account):
    activity = record(actor=alice, verb=Verb.SIGNED_IN)
    activity.verb = "signed out"
    for act in (
        activity.save,
        activity.delete,
        Activity.objects.all().delete,
        lambda: Activity.objects.update(verb="signed out"),
        lambda: Activity.objects.filter(pk=activity.pk).delete(),
        lambda: Activity.objects.bulk_update([activity], ["verb"]),
    ):
        with pytest.raises(AppendOnlyError), transaction.atomic():
            act()
    assert Activity.objects.get().verb == "signed in"


def test_a_row_is_never_written_over(alice: Account):
    activity = record(actor=alice, verb=Verb.SIGNED_IN)
    with pytest.raises(DatabaseError), transaction.atomic():
        Activity(pk=activity.pk, created_at=activity.created_at, verb="signed out").save()
    assert Activity.objects.get().verb == "signed in"


@pytest.mark.parametrize("statement", ["UPDATE audit_activity SET verb = 'x'", "DELETE FROM audit_activity"])
def test_the_database_refuses_too(alice: Account, guarded: None, statement: str):
    record(actor=alice, verb=Verb.SIGNED_IN)
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    record(actor=alice, verb=Verb.SIGNED_OUT)
    assert Activity.objects.count() == 2
