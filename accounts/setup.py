"""The address that makes the first administrator, printed when the console starts."""

from django.urls import reverse

from accounts import entrance, selectors


def setup_path() -> str | None:
    """A fresh one-time path while there is no administrator; the one printed before stops working."""
    if selectors.administrator_exists():
        return None
    return reverse("accounts:setup", args=[entrance.setup_link_issue()])
