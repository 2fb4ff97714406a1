from django.core.exceptions import ValidationError

from resources.kinds.base import SecretField, UsernameField
from resources.kinds.http import HttpForm


class HttpBasicAuthForm(HttpForm):
    username = UsernameField()
    password = SecretField(label="Password")

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        if ":" in username:
            raise ValidationError("A username for basic authentication has no colon, which ends it.")
        return username
