"""The fixed cast: Alice administers, Bob audits, Charlie is a user without more."""

from django.contrib.auth import get_user_model

from accounts.models import Account
from accounts.policy import Level

PASSWORD = "correct horse battery"


def make_account(name: str, level: Level) -> Account:
    account = get_user_model()(email=f"{name.lower()}@example.com", name=name, level=level)
    account.set_password(PASSWORD)
    account.save()
    return account
