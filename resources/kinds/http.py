"""What every kind of website has."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from clusters.forms import PLAIN_INPUT
from resources.kinds import http_cleaning as cleaning
from resources.kinds.base import VerifiedForm


class HttpForm(VerifiedForm):
    """Host and port are those of the URL."""

    rare = (*VerifiedForm.rare, "host_override", "custom_headers", "headers_blacklist")

    url = forms.CharField(
        label="URL",
        max_length=300,
        widget=forms.TextInput(
            attrs={**PLAIN_INPUT, "inputmode": "url", "placeholder": "https://wiki.internal"}
        ),
        help_text="Scheme and host, and the port when it is not the usual one. As the workers reach it.",
    )
    default_path = forms.CharField(
        label="Default path",
        max_length=1_000,
        required=False,
        widget=forms.TextInput(attrs={**PLAIN_INPUT, "placeholder": "/"}),
        help_text="The page where people arrive.",
    )
    healthcheck_path = forms.CharField(
        label="Health check path",
        max_length=1_000,
        required=False,
        widget=forms.TextInput(attrs={**PLAIN_INPUT, "placeholder": "/"}),
        help_text="Asked for when the health is checked; an answer below 400 is healthy.",
    )
    host_override = forms.CharField(
        label="Host header",
        max_length=260,
        required=False,
        widget=forms.TextInput(attrs=PLAIN_INPUT),
        help_text="Sent instead of the URL's host.",
    )
    custom_headers = forms.CharField(
        label="Additional headers",
        max_length=8_000,
        required=False,
        widget=forms.Textarea(attrs={**PLAIN_INPUT, "rows": 3, "placeholder": "X-Environment: production"}),
        help_text="One a line, sent with each request. Everybody who sees this resource sees them: no secrets here.",
    )
    headers_blacklist = forms.CharField(
        label="Headers kept out of the log",
        max_length=1_000,
        required=False,
        widget=forms.TextInput(attrs={**PLAIN_INPUT, "placeholder": "X-Session, X-Token"}),
        help_text="Besides Authorization and cookies, which never are in it.",
    )

    field_order = ("url", "username", "password", "auth_header", "default_path", "healthcheck_path")

    clean_url = cleaning.checked("url", cleaning.url)
    clean_default_path = cleaning.checked("default_path", cleaning.path)
    clean_healthcheck_path = cleaning.checked("healthcheck_path", cleaning.path)
    clean_host_override = cleaning.checked("host_override", cleaning.host_header)
    clean_custom_headers = cleaning.checked("custom_headers", cleaning.headers)
    clean_headers_blacklist = cleaning.checked("headers_blacklist", cleaning.header_names)

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if data.get("url", "").startswith("http:"):
            for name in ("tls_insecure", "certificate_authority"):
                if data.get(name):
                    self.add_error(
                        name, ValidationError("An http: URL has no certificate. Use https: or clear this.")
                    )
        return data

    def where(self) -> tuple[str, int]:
        return cleaning.host_and_port(self.cleaned_data["url"])
