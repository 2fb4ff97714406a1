"""Messages that can undo what they report."""

import json
from typing import Any

from django.contrib import messages
from django.contrib.messages.storage.base import Message
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
    undo = {"undo_url": undo_url, "fields": list(fields.items()), "label": label}
    # Django makes text of whatever a message holds. Its tags travel with it; components/messages.html reads them.
    messages.success(request, text, extra_tags=json.dumps(undo))


def undo_of(message: Message) -> dict[str, Any] | None:
    """What `undoable` said can be undone: `undo_url`, `fields`, `label`."""
    undo: dict[str, Any] | None = json.loads(message.extra_tags) if message.extra_tags else None
    return undo
