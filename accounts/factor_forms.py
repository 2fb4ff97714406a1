"""allauth's forms for second factors, made safe for whatever a browser may send."""

import json
import re
from typing import Any

from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm as AllauthAuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as AllauthReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm as AllauthActivateTOTPForm
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY, TOTP
from allauth.mfa.utils import decrypt, encrypt
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    EditWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Account
from accounts.services import proof_failed

MAX_KEY_NAME = 100
# A registration with its attestation takes a few kilobytes.
MAX_CREDENTIAL = 64 * 1024
# PostgreSQL stores neither of these in JSON.
_NOT_STORABLE = re.compile(r"\\u(0000|d[89a-f])")


class ActivateTOTPForm(AllauthActivateTOTPForm):  # type: ignore[misc]  # allauth has no types
    """Between the page with the secret and its first code, the session keeps the secret, and keeps it sealed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        session = context.request.session
        sealed = session.get(SECRET_SESSION_KEY)
        super().__init__(*args, **kwargs)
        if self.is_bound and sealed:
            self.secret = decrypt(sealed)
        else:
            session[SECRET_SESSION_KEY] = encrypt(self.secret)
        _draw_code(self, "Code that the app shows")

    def clean_code(self) -> str:
        code: str = super().clean_code()
        # allauth remembers a code as used when it signs in; the one that sets the app up signs nobody in afterwards.
        app = TOTP(Authenticator(user=self.user, data={"secret": encrypt(self.secret)}))
        if not app.validate_code(code):
            raise get_adapter().validation_error("incorrect_code")
        return code


def _draw_code(form: forms.Form, label: str) -> None:
    form.fields["code"].label = label
    attributes = {"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}
    form.fields["code"].widget.attrs = attributes


class _Code:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _draw_code(self, "Code from your app, or a recovery code")  # type: ignore[arg-type]  # it is mixed into one


class AuthenticateForm(_Code, AllauthAuthenticateForm):  # type: ignore[misc]  # allauth has no types
    pass


class ReauthenticateForm(_Code, AllauthReauthenticateForm):  # type: ignore[misc]  # allauth has no types
    pass


class CredentialField(forms.JSONField):
    """What `static/js/security-key.js` puts into the form: an object, neither too long nor too deep."""

    def __init__(self) -> None:
        super().__init__(widget=forms.HiddenInput)

    def to_python(self, value: Any) -> Any:
        if not value or len(value) > MAX_CREDENTIAL:
            raise _not_a_credential()
        try:
            credential = super().to_python(value)
        except RecursionError as error:
            raise _not_a_credential() from error
        if not isinstance(credential, dict) or _NOT_STORABLE.search(json.dumps(credential)):
            raise _not_a_credential()
        return credential


def _not_a_credential() -> ValidationError:
    return ValidationError("The security key did not answer. Try again.", code="invalid")


class _Authenticate:
    """allauth takes the shape of an answer for granted in places; an answer of another shape is a wrong one."""

    user: Account | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["credential"] = CredentialField()  # type: ignore[attr-defined]  # every form has fields

    def clean_credential(self) -> Authenticator:
        try:
            return super().clean_credential()  # type: ignore[misc]  # of the form it is mixed into
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._refused() from error
        except ValidationError as error:
            if error.code != "incorrect_code":
                raise
            raise self._refused() from error

    def _refused(self) -> ValidationError:
        email = self.user.email if self.user else ""
        by = context.request.user
        proof_failed(by=by, email=email, reason="security key refused", account=self.user)
        return ValidationError("This key is not one of yours here, or it took too long. Try again.")


class AuthenticateKeyForm(_Authenticate, AuthenticateWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    pass


class ReauthenticateKeyForm(_Authenticate, ReauthenticateWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    pass


class SignInKeyForm(_Authenticate, LoginWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    pass


class AddKeyForm(AddWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["credential"] = CredentialField()
        self.fields["name"] = forms.CharField(label="Name", max_length=MAX_KEY_NAME, required=False)
        self.fields["passwordless"].label = "Sign in with this key alone"
        self.fields[
            "passwordless"
        ].help_text = "The key asks for its PIN or a fingerprint instead of a password."

    def clean(self) -> dict[str, Any]:
        try:
            cleaned: dict[str, Any] = super().clean()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise get_adapter().validation_error("incorrect_code") from error
        return cleaned


class RenameKeyForm(EditWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"] = forms.CharField(label="Name", max_length=MAX_KEY_NAME)
