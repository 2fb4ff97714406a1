"""A request as every view of ours sees it: LoginRequiredMiddleware let only people through."""

from django.http import HttpRequest

from accounts.models import Account


class AccountRequest(HttpRequest):
    user: Account
