"""What every kind of SSH server has."""

from django import forms

from resources.kinds.base import TcpForm, UsernameField


class SshForm(TcpForm):
    rare = ("allow_deprecated_key_exchanges",)

    username = UsernameField()
    port_forwarding = forms.BooleanField(
        label="Allow port forwarding",
        required=False,
        help_text="People can then reach, through this server, whatever it reaches.",
    )
    allow_deprecated_key_exchanges = forms.BooleanField(
        label="Allow deprecated key exchanges",
        required=False,
        help_text="For old servers that offer nothing but SHA-1.",
    )
