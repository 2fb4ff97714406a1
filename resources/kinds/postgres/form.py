from django import forms

from clusters.forms import PLAIN_INPUT
from resources.kinds.base import SecretField, TlsForm, UsernameField


class PostgresForm(TlsForm):
    username = UsernameField()
    password = SecretField(label="Password")
    database = forms.CharField(
        label="Database",
        max_length=63,
        widget=forms.TextInput(attrs=PLAIN_INPUT),
        help_text="Where people arrive, and what is connected to when the health is checked.",
    )
    override_database = forms.BooleanField(
        label="Always this database",
        required=False,
        initial=True,
        help_text="Whatever database a client asks for, it gets this one.",
    )

    field_order = (
        "hostname",
        "port",
        "username",
        "password",
        "database",
        "override_database",
        "tls_required",
    )
