"""Messages that can undo what they report."""

from django.contrib import messages
from django.http import HttpRequest


def success(request: HttpRequest, text: str) -> None:
    messages.success(request, text)


def warning(request: HttpRequest, text: str) -> None:
    messages.warning(request, text)


def info(request: HttpRequest, text: str) -> None:
    messages.info(request, text)


def error(request: HttpRequest, text: str) -> None:
    messages.error(request, text)


def undoable(
    request: HttpRequest, text: str, *, undo_url: str, fields: dict[str, str], label: str = "Undo"
) -> None:
    """Report `text` beside a button that posts `fields` to `undo_url`. The message may hold no secret."""
    message = {"text": text, "undo_url": undo_url, "fields": list(fields.items()), "label": label}
    # The session keeps messages as JSON; components/messages.html draws this shape.
    messages.success(request, message)  # type: ignore[arg-type]  # the storage takes any JSON
