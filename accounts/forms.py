"""Forms of people: set-up, invitations, passwords, levels."""

import re
from typing import Any

from allauth.account.forms import ChangePasswordForm, LoginForm, ReauthenticateForm
from django import forms
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError

from accounts.models import Account
from accounts.policy import Level

MAX_PASSWORD = 1_000
ADVICE = "At least 12 characters. A few unrelated words are easy to remember and hard to guess."

# Line breaks, escapes, and marks that turn the direction of what follows them.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

LEVEL_CHOICES = [
    (Level.USER, "User: uses what is shared with them, sees none of these pages"),
    (Level.AUDITOR, "Auditor: sees everything but secrets, changes nothing"),
    (Level.ADMIN, "Administrator: changes everything, invites people"),
]


class EmailField(forms.EmailField):
    def __init__(self, *, autocomplete: str) -> None:
        widget = forms.EmailInput(attrs={"autocomplete": autocomplete, "autofocus": True})
        # As long as the column; Django's form field takes longer ones.
        super().__init__(label="E-mail address", max_length=254, widget=widget)


class NameField(forms.CharField):
    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"autocomplete": "name"})
        kwargs.setdefault("error_messages", {"required": "Enter the name that others here know you by."})
        super().__init__(label="Name", max_length=150, widget=widget, **kwargs)

    def clean(self, value: Any) -> str:
        name: str = super().clean(value)
        if _CONTROLS.search(name):
            raise ValidationError(
                "Use letters, digits and punctuation; this holds characters one cannot see."
            )
        return name


def _password_field(label: str, *, help_text: str = "") -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
    return forms.CharField(
        label=label, strip=False, max_length=MAX_PASSWORD, widget=widget, help_text=help_text
    )


class NewPasswordForm(forms.Form):
    """Typed twice: nobody can look up what a slip of the finger made of it."""

    password = _password_field("Password", help_text=ADVICE)
    password_again = _password_field("Password, once more")

    def __init__(self, *args: Any, account: Account | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.account = account or Account()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        password, again = cleaned.get("password"), cleaned.get("password_again")
        if password and again and password != again:
            self.add_error("password_again", "The two passwords differ. Type them again.")
        elif password:
            self._check_password(password)
        return cleaned

    def _check_password(self, password: str) -> None:
        for field in ("email", "name"):
            if value := self.cleaned_data.get(field):
                setattr(self.account, field, value)
        try:
            password_validation.validate_password(password, self.account)
        except ValidationError as error:
            self.add_error("password", error)


class AcceptForm(NewPasswordForm):
    """What somebody who was invited adds."""

    name = NameField()
    field_order = ["name", "password", "password_again"]


class SetupForm(AcceptForm):
    """The first administrator."""

    email = EmailField(autocomplete="username")
    field_order = ["email", "name", "password", "password_again"]


class InvitationForm(forms.Form):
    email = EmailField(autocomplete="off")
    level = forms.ChoiceField(
        label="Level", choices=LEVEL_CHOICES, initial=Level.USER, widget=forms.RadioSelect
    )

    def clean_level(self) -> Level:
        return Level(self.cleaned_data["level"])


class ServiceAccountForm(forms.Form):
    name = forms.RegexField(
        r"^[a-z0-9]+(-[a-z0-9]+)*\Z",
        label="Name",
        max_length=50,
        help_text="Lower-case letters, digits and hyphens, as in ci-runner. It stays.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autofocus": True}),
        error_messages={
            "required": "Enter a name, such as ci-runner.",
            "invalid": "A name has lower-case letters and digits, with single hyphens between, as in ci-runner.",
        },
    )


class LevelForm(forms.Form):
    level = forms.ChoiceField(label="Level", choices=LEVEL_CHOICES, widget=forms.RadioSelect)

    def clean_level(self) -> Level:
        return Level(self.cleaned_data["level"])


class NameForm(forms.Form):
    name = NameField()


class ForgottenForm(forms.Form):
    email = EmailField(autocomplete="username")


# --- allauth's, in our words -------------------------------------------------------------------


class SignInForm(LoginForm):  # type: ignore[misc]  # allauth has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = "E-mail address"
        self.fields["login"].widget.attrs = {"autocomplete": "username", "autofocus": True, "maxlength": 254}
        self.fields["password"].help_text = ""
        self.fields["password"].widget.attrs = {"autocomplete": "current-password"}


class ConfirmForm(ReauthenticateForm):  # type: ignore[misc]  # allauth has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].help_text = ""
        self.fields["password"].widget.attrs = {"autocomplete": "current-password", "autofocus": True}


class PasswordForm(ChangePasswordForm):  # type: ignore[misc]  # allauth has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = {
            "oldpassword": "Current password",
            "password1": "New password",
            "password2": "New password, once more",
        }
        for name, label in labels.items():
            self.fields[name].label = label
            self.fields[name].help_text = ""
            del self.fields[name].widget.attrs["placeholder"]
        self.fields["password1"].help_text = ADVICE
