from resources.kinds.http import HttpForm


class HttpNoAuthForm(HttpForm):
    """What every website has is all there is."""
