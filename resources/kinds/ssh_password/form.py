from resources.kinds.base import SecretField
from resources.kinds.ssh import SshForm


class SshPasswordForm(SshForm):
    password = SecretField(label="Password")

    field_order = ("hostname", "port", "username", "password")
