from resources.kinds.base import Category, Kind
from resources.kinds.ssh_customer_key.form import SshCustomerKeyForm

KIND = Kind(
    slug="sshCustomerKey",
    label="SSH (your key)",
    category=Category.SERVER,
    description="Workers sign in with a private key of yours. Sessions are recorded.",
    icon="key",
    form=SshCustomerKeyForm,
    default_port=22,
)
