import os
import time
from collections.abc import Generator, Iterator
from typing import Any

import hypothesis
import pytest
from django.db import connection
from django.test import Client

from accounts.models import Account
from accounts.policy import Level
from audit import append_only
from tests import guard
from tests.browser.driver import browser
from tests.people import make_account

__all__ = ["browser"]

# Fast while one works; `HYPOTHESIS_PROFILE=deep ./dev test` before a release or after touching a parser.
hypothesis.settings.register_profile("fast", max_examples=50, deadline=None)
hypothesis.settings.register_profile("deep", max_examples=5_000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

# A test for one database is skipped on the other; `./dev test` runs both. Nothing else may be skipped.
ALLOWED_SKIPS = ("only on PostgreSQL", "only on SQLite")


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    with guard.loopback_only():
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: the driver leaves an event loop running, which other tests would stumble over."""
    items.sort(key=lambda item: "browser" in getattr(item, "fixturenames", ()))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    return _failed_if_skipped((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    return _failed_if_skipped((yield))


def _failed_if_skipped(report: Any) -> Any:
    """A test that cannot run has not passed: skipping needs one of the reasons above."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
        if not reason.startswith(ALLOWED_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"Skipped, and a test that cannot run counts as failed: {reason}"
    return report


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Tests that commit are cleaned up after, with DELETE on SQLite, which the log's guard would refuse.
    `tests/audit/test_append_only.py` puts it up again for itself."""
    if connection.vendor == "sqlite":
        with django_db_blocker.unblock(), connection.schema_editor() as schema_editor:
            append_only.lift(schema_editor)


@pytest.fixture
def alice(db: None) -> Account:
    return make_account("Alice", Level.ADMIN)


@pytest.fixture
def bob(db: None) -> Account:
    return make_account("Bob", Level.AUDITOR)


@pytest.fixture
def charlie(db: None) -> Account:
    return make_account("Charlie", Level.USER)


def sign_in(account: Account, *, confirmed: bool = True) -> Client:
    """A client signed in as `account`, as if it had just typed its password, or (not confirmed) long ago."""
    client = Client()
    client.force_login(account)
    session = client.session
    when = time.time() if confirmed else time.time() - 24 * 3600
    session["account_authentication_methods"] = [{"method": "password", "at": when, "reauthenticated": True}]
    session["account_authentication_methods_user"] = account.pk
    session.save()
    return client


@pytest.fixture
def alice_client(alice: Account) -> Client:
    return sign_in(alice)


@pytest.fixture
def bob_client(bob: Account) -> Client:
    return sign_in(bob)


@pytest.fixture
def charlie_client(charlie: Account) -> Client:
    return sign_in(charlie)
