"""Letters with one-time links. Nothing is sent, and nobody is told so, unless a mail server is configured."""

import logging
from smtplib import SMTPException
from threading import Thread

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string

log = logging.getLogger(__name__)


def is_configured() -> bool:
    return bool(settings.EMAIL_HOST)


def send_invitation(*, email: str, url: str, invited_by: str) -> bool:
    """Whether the mail server took it."""
    context = {"url": url, "invited_by": invited_by, "console_url": settings.CONSOLE_URL}
    return _send(email, "Your invitation to Proxy Clusters", "accounts/mail/invitation.txt", context)


def send_password_link(*, email: str, url: str) -> bool:
    context = {"url": url, "console_url": settings.CONSOLE_URL}
    return _send(email, "Set a new password for Proxy Clusters", "accounts/mail/new_password.txt", context)


def send_password_link_later(*, email: str, url: str) -> None:
    """In the background: how long the mail server takes would tell whether the address has an account."""
    Thread(target=send_password_link, kwargs={"email": email, "url": url}, name="mail").start()


def _send(email: str, subject: str, template: str, context: dict[str, str]) -> bool:
    try:
        send_mail(subject, render_to_string(template, context), None, [email])
    except (SMTPException, OSError):
        # The link is in the letter only, so the traceback holds no secret.
        log.exception("The mail server %s did not take a letter", settings.EMAIL_HOST)
        return False
    return True
