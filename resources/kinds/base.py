"""What a kind of resource is made of: its name, and the form with its own fields.

The form is the declaration. A `SecretField` becomes a sealed credential, `hostname`, `port` and `username`
become columns that can be searched, and everything else is the resource's `config`, under the field's name as
in the compatible system's API.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import TextChoices

from clusters.forms import PLAIN_INPUT
from resources.kinds.pem import check_certificates
from sdm.contract.address import MAX_HOST_LENGTH
from sdm.contract.target import canonical_target

NOT_SERVED = "Workers of this version do not serve this kind yet; it can be prepared."
MAX_USERNAME = 256
MAX_SECRET = 4_096
MAX_PEM = 32_768
_COLUMNS = ("hostname", "port", "username")


class Category(TextChoices):
    DATASOURCE = "datasource", "Databases"
    SERVER = "server", "Servers"
    WEBSITE = "website", "Websites"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a resource is and how it is spoken to, without any secret."""

    hostname: str
    port: int
    username: str
    config: Mapping[str, Any]


class SecretField(forms.CharField):
    """A text that is stored sealed, and never goes back to a browser: not even into the form it came from."""

    def __init__(self, *, multiline: bool = False, **kwargs: Any) -> None:
        widget = SecretText if multiline else forms.PasswordInput
        attrs = {"autocomplete": "new-password", "spellcheck": "false", "autocapitalize": "none"}
        defaults = {
            "widget": widget(attrs=attrs),
            "max_length": MAX_PEM if multiline else MAX_SECRET,
            "strip": False,
        }
        super().__init__(**{**defaults, **kwargs})


class SecretText(forms.Textarea):
    """A textarea that never shows what it was given."""

    def format_value(self, value: Any) -> None:
        return None


def name_what_is_missing(form: forms.BaseForm) -> None:
    """“Enter the database.” where Django would say that a field is required."""
    for field in form.fields.values():
        if field.error_messages.get("required") == forms.Field.default_error_messages["required"]:
            field.error_messages["required"] = f"Enter the {in_a_sentence(str(field.label))}."


def in_a_sentence(label: str) -> str:
    """The label as it stands within a sentence: `URL` stays, `Password` does not."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


class KindForm(forms.Form):
    """The fields of one kind. Without `with_secrets` they are left out: stored secrets are replaced elsewhere."""

    # Fields that most people leave alone; the page folds them away.
    rare: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, with_secrets: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not with_secrets:
            for name in self.secret_fields():
                del self.fields[name]
        name_what_is_missing(self)

    @classmethod
    def secret_fields(cls) -> dict[str, SecretField]:
        fields = cls.base_fields.items()
        return {name: field for name, field in fields if isinstance(field, SecretField)}

    @classmethod
    def config_fields(cls) -> dict[str, forms.Field]:
        fields = cls.base_fields.items()
        apart = {*cls.secret_fields(), *_COLUMNS}
        return {name: field for name, field in fields if name not in apart}

    def clean(self) -> dict[str, Any]:
        """No single-line text holds characters that nobody sees; PEM texts and secrets may hold line breaks."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name, value in list(cleaned.items()):
            field = self.fields[name]
            plain = isinstance(value, str) and not isinstance(field, SecretField)
            if plain and not isinstance(field.widget, forms.Textarea) and not value.isprintable():
                wrong = next(character for character in value if not character.isprintable())
                self.add_error(
                    name, f"This holds a character that cannot be seen, U+{ord(wrong):04X}. Type it anew."
                )
        return cleaned

    def usual_fields(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in self.rare]

    def rare_fields(self) -> list[forms.BoundField]:
        return [field for field in self if field.name in self.rare]

    def shows_rare_fields(self) -> bool:
        """Whether one of them says something."""
        return any(field.errors or field.value() for field in self.rare_fields())

    def where(self) -> tuple[str, int]:
        """Host and port of a form that is valid."""
        return self.cleaned_data["hostname"], self.cleaned_data["port"]

    def target(self) -> Target:
        hostname, port = self.where()
        config = {name: self.cleaned_data[name] for name in self.config_fields()}
        return Target(hostname, port, self.cleaned_data.get("username", ""), config)

    def secrets(self) -> dict[str, str]:
        """Those that were entered, by field."""
        return {name: text for name in self.secret_fields() if (text := self.cleaned_data.get(name))}


class HostField(forms.CharField):
    def __init__(self, **kwargs: Any) -> None:
        defaults = {
            "label": "Host",
            "max_length": MAX_HOST_LENGTH + 2,
            "help_text": "As the workers reach it: a name or an address. "
            "<code>127.0.0.1</code> is the worker's own machine.",
            "widget": forms.TextInput(attrs={**PLAIN_INPUT, "placeholder": "db.internal"}),
        }
        super().__init__(**{**defaults, **kwargs})

    def clean(self, value: Any) -> str:
        host = super().clean(value)
        try:
            return canonical_target(host) if host else ""
        except ValueError as error:
            raise ValidationError(str(error)) from None


class UsernameField(forms.CharField):
    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={**PLAIN_INPUT, "autocomplete": "off"})
        super().__init__(**{"label": "Username", "max_length": MAX_USERNAME, "widget": widget, **kwargs})


class PortField(forms.IntegerField):
    """A port in the digits that addresses are written in: Django's number may be `5432.0`, `5_432` or `٣٣` as well."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={**PLAIN_INPUT, "inputmode": "numeric"})
        super().__init__(**{"label": "Port", "widget": widget, **kwargs})

    def to_python(self, value: Any) -> int | None:
        if value not in self.empty_values and not re.fullmatch(r"\s*-?[0-9]+\s*", str(value)):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class TcpForm(KindForm):
    hostname = HostField()
    port = PortField(
        min_value=1,
        max_value=65535,
        error_messages=dict.fromkeys(
            ("invalid", "min_value", "max_value"), "The port is a number from 1 to 65535."
        ),
    )


class CertificatesField(forms.CharField):
    """Certificates of authorities in PEM."""

    def __init__(self, **kwargs: Any) -> None:
        attrs = {**PLAIN_INPUT, "rows": 4, "placeholder": "-----BEGIN CERTIFICATE-----"}
        defaults = {
            "label": "CA certificate",
            "required": False,
            "max_length": MAX_PEM,
            "widget": forms.Textarea(attrs=attrs),
            "help_text": "In PEM. Left empty, the server's certificate must come from a public authority.",
        }
        super().__init__(**{**defaults, **kwargs})

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        return check_certificates(text) if text else ""


class VerifiedForm(KindForm):
    """How the server's certificate is checked: by default it is."""

    rare: ClassVar[tuple[str, ...]] = ("tls_insecure", "certificate_authority")

    tls_insecure = forms.BooleanField(
        label="Accept any certificate",
        required=False,
        help_text="Whoever stands between a worker and the server could then read along and take the credentials.",
    )
    certificate_authority = CertificatesField()

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("tls_insecure") and data.get("certificate_authority"):
            self.add_error(
                "certificate_authority",
                "This certificate would check nothing while any is accepted. Leave out one of the two.",
            )
        return data


class TlsForm(TcpForm, VerifiedForm):
    tls_required = forms.BooleanField(label="Connect with TLS", required=False, initial=True)

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if not data.get("tls_required"):
            for name in ("tls_insecure", "certificate_authority"):
                if data.get(name):
                    self.add_error(
                        name, "Without TLS there is no certificate to check. Choose TLS or clear this."
                    )
        return data


@dataclass(frozen=True)
class Kind:
    """One kind of resource. A folder here holds it as `KIND`."""

    slug: str  # as in the compatible system's API and its `type:` filter
    label: str
    category: Category
    description: str
    icon: str  # of heroicons
    form: type[KindForm]
    default_port: int | None = None
    # Of others only bytes and times are known.
    logs_requests: bool = True
    # Whether workers speak it: what they do not can be prepared, and nobody connects. A test compares it with them.
    is_served: bool = True

    @property
    def caveat(self) -> str:
        """What to know before one is added."""
        return "" if self.is_served else NOT_SERVED

    @property
    def secret_fields(self) -> dict[str, SecretField]:
        return self.form.secret_fields()

    @property
    def config_fields(self) -> dict[str, forms.Field]:
        return self.form.config_fields()
