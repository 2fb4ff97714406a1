"""WSGI entry point; gunicorn serves it."""

import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

_django = get_wsgi_application()
# Now and not at the first request: by then an upgrade may have put other code in place.
_ = get_resolver().url_patterns


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return _django(environ, start_response)


# CPython keeps the frames of functions in chunks of 16 KiB, and gives a chunk back when its last frame is done. A
# template that happens to call across the end of one asks the system for memory at every call: two thousand times
# a page, half of its time, and which pages are hit depends on nothing but how deep the calls are nested. A frame
# that needs 130 KiB gets a chunk of 256, in which there is room for all that a request calls.
application.__code__ = application.__code__.replace(co_stacksize=130 * 1024 // 8)
