"""Pages of people: entering with a one-time link, Settings > People, Service accounts, Security."""

from accounts.views.entrance import invitation_accept, password_forgotten, password_set, setup
from accounts.views.people import (
    account_detail,
    account_level,
    account_list,
    account_reinstate,
    account_suspend,
    invitation_create,
    invitation_renew,
    invitation_withdraw,
    password_link_create,
    second_factor_remove,
)
from accounts.views.security import add_key, confirm_with_key, name_change, security, sessions_end
from accounts.views.services import (
    service_account_create,
    service_account_list,
    service_token_renew,
)

__all__ = [
    "account_detail",
    "account_level",
    "account_list",
    "account_reinstate",
    "account_suspend",
    "add_key",
    "confirm_with_key",
    "invitation_accept",
    "invitation_create",
    "invitation_renew",
    "invitation_withdraw",
    "name_change",
    "password_forgotten",
    "password_link_create",
    "password_set",
    "second_factor_remove",
    "security",
    "service_account_create",
    "service_account_list",
    "service_token_renew",
    "sessions_end",
    "setup",
]
