from django import forms

from resources.kinds.base import SecretField, TlsForm, UsernameField


class RedisForm(TlsForm):
    username = UsernameField(
        required=False, help_text="For servers with access control lists (Redis 6 and later)."
    )
    password = SecretField(label="Password", required=False)
    tls_required = forms.BooleanField(label="Connect with TLS", required=False)

    field_order = ("hostname", "port", "username", "password", "tls_required")
