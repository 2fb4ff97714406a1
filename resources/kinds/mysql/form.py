from django import forms

from clusters.forms import PLAIN_INPUT
from resources.kinds.base import SecretField, TlsForm, UsernameField


class MysqlForm(TlsForm):
    rare = (*TlsForm.rare, "require_native_auth")

    username = UsernameField()
    password = SecretField(label="Password")
    database = forms.CharField(
        label="Database",
        max_length=64,
        required=False,
        widget=forms.TextInput(attrs=PLAIN_INPUT),
        help_text="What is connected to when the health is checked. People choose their own.",
    )
    require_native_auth = forms.BooleanField(
        label="Native password authentication only",
        required=False,
        help_text="For servers and clients that know nothing newer than <code>mysql_native_password</code>.",
    )

    field_order = (
        "hostname",
        "port",
        "username",
        "password",
        "database",
        "require_native_auth",
        "tls_required",
    )
