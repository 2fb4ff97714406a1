from resources.kinds.base import Category, Kind
from resources.kinds.raw_tcp.form import RawTcpForm

KIND = Kind(
    slug="rawTCP",
    label="TCP",
    category=Category.SERVER,
    description="Any protocol. People bring their own credentials; who, when and how much is logged, not what.",
    icon="arrows-right-left",
    form=RawTcpForm,
    logs_requests=False,
)
