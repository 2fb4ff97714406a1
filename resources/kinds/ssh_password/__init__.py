from resources.kinds.base import Category, Kind
from resources.kinds.ssh_password.form import SshPasswordForm

KIND = Kind(
    slug="sshPassword",
    label="SSH (password)",
    category=Category.SERVER,
    description="With a password.",
    icon="command-line",
    form=SshPasswordForm,
    default_port=22,
    is_served=False,
)
