from typing import Any

from resources.kinds.base import SecretField
from resources.kinds.pem import check_private_key
from resources.kinds.ssh import SshForm


class PrivateKeyField(SecretField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(multiline=True, **kwargs)

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        return check_private_key(text) if text else ""


class SshCustomerKeyForm(SshForm):
    private_key = PrivateKeyField(
        label="Private key",
        help_text="In OpenSSH or PEM format, without a passphrase. "
        "Its public half is in the server's <code>authorized_keys</code>.",
    )

    field_order = ("hostname", "port", "username", "private_key")
