"""What tests of people share: signing in as a browser does, one-time links, codes of an app."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.db import connection
from django.test import Client

from accounts.models import Account
from tests.people import PASSWORD

NEW_PASSWORD = "seven purple elephants"
SIGN_IN = "/sign-in/"


def submit_sign_in(client: Client, email: str, password: str = PASSWORD, **fields: str) -> Any:
    return client.post(SIGN_IN, {"login": email, "password": password, **fields})


def add_app(account: Account) -> str:
    """The secret of an authenticator app, new for `account`."""
    secret: str = generate_totp_secret()
    TOTP.activate(account, secret)
    return secret


def recovery_codes(account: Account) -> list[str]:
    codes: list[str] = RecoveryCodes.activate(account).get_unused_codes()
    return codes


def code_of(secret: str, *, steps: int = 0) -> str:
    """What the app shows now, or some steps of half a minute from now."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps)))


def link_in(response: Any) -> str:
    """The path of the one-time link that a page shows."""
    found = re.search(
        r"https?://[^/\s<]+(/(?:setup|invitation|new-password)/[\w-]{43}/)", response.content.decode()
    )
    assert found, response.content.decode()
    return found[1]


def is_signed_in(client: Client) -> bool:
    return bool(client.get("/settings/security/").status_code == 200)


def at_once(*acts: Any) -> list[Any]:
    """The results, or exceptions, of acts that start together in threads of their own."""
    barrier = Barrier(len(acts))

    def run(act: Any) -> Any:
        barrier.wait()
        try:
            return act()
        except Exception as error:  # noqa: BLE001  # the test looks at it
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def everything_stored() -> str:
    """All text of all tables, so that a test can look for what must not be there."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        parts = []
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # names from the database itself
            parts += [repr(row) for row in cursor.fetchall()]
    return "\n".join(parts)


def has_factor(account: Account, kind: str) -> bool:
    return bool(Authenticator.objects.filter(user=account, type=kind).exists())
