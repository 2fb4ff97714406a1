from django import forms

from clusters.forms import PLAIN_INPUT
from resources.kinds.base import SecretField, TlsForm, UsernameField


class PostgresForm(TlsForm):
    rare = ("log_parameters", "allow_replication", *TlsForm.rare)

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

    log_parameters = forms.BooleanField(
        label="Log bind values",
        required=False,
        help_text="The values that programs send beside their queries. They may be personal data, or secrets.",
    )
    allow_replication = forms.BooleanField(
        label="Allow replication",
        required=False,
        help_text="A replication connection copies whole databases, and its contents are not logged.",
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
