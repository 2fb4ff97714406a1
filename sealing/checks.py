from typing import Any

from django.core.checks import CheckMessage, Error

from sealing.keyring import KeyringError, load


def keys_can_be_used(**kwargs: Any) -> list[CheckMessage]:
    """A console without its keys would fail at the first credential; it says so at the start."""
    try:
        load()
    except KeyringError as error:
        return [Error(str(error), id="sealing.E001")]
    return []
