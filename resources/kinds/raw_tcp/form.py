from resources.kinds.base import TcpForm


class RawTcpForm(TcpForm):
    """Host and port are all there is to know."""
