import re
from typing import Any

from django.core.exceptions import ValidationError

from resources.kinds.base import SecretField
from resources.kinds.http import HttpForm


class HeaderValueField(SecretField):
    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        # A line end would begin a header of its own.
        if text and not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", text):
            raise ValidationError("The value of a header is one line of ASCII without spaces around it.")
        return text


class HttpAuthForm(HttpForm):
    auth_header = HeaderValueField(
        label="Authorization header",
        help_text="Its whole value, with the scheme: <code>Bearer …</code>",
    )
