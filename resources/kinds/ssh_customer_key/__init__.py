from resources.kinds.base import Category, Kind
from resources.kinds.ssh_customer_key.form import SshCustomerKeyForm

KIND = Kind(
    slug="sshCustomerKey",
    label="SSH (your key)",
    category=Category.SERVER,
    description="With a private key of yours.",
    icon="key",
    form=SshCustomerKeyForm,
    default_port=22,
    is_served=False,
)
