"""Live parts: fragments that a page asks for again every few seconds, answered 304 while nothing changed.

A part is an element with an id, `data-live`, and where to ask:

    <div id="keys" data-live hx-get="{{ url }}" hx-trigger="console:tick" hx-swap="outerHTML">

Its view answers the poll with `live_response(request, "keys/key_list.html#keys", context)`, where the
partial is the whole element. app.js does the rest: it ticks while the tab can be seen and nobody's focus is
inside, sends the ETag of the last answer, keeps each `<details>` that has an id open across the swap, and
leaves a part alone that answered 403 or 404.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag

# Masked anew for each response, so it would make every answer a different one.
_CSRF_VALUE = re.compile(rb'(?<=name="csrfmiddlewaretoken" value=")[^"]*')


def live_response(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """The rendered fragment with its ETag, or 304 where the browser has just that."""
    response = render(request, template, context)
    etag = quote_etag(hashlib.sha256(_CSRF_VALUE.sub(b"", response.content)).hexdigest()[:32])
    response.headers["ETag"] = etag
    return get_conditional_response(request, etag=etag, response=response) or response
