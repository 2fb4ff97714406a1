"""The pages of both logs, asked for as a browser does, and what harms a page that is not careful."""

from django.test import Client

SESSIONS, QUERIES = "/audit/sessions/", "/audit/queries/"
HOSTILE = [
    b"<script>alert(1)</script>",
    b"'; DROP TABLE x; --",
    b"a\0b",
    b"\xff\xfe",
    "☕ \u202egnp.exe".encode(),
    b"\x1b[2J\r\nforged line",
    b"{{ request.user }}{% debug %}",
    b"=1+1",
    b"x" * 65_536,
    b"",
]
HTMX = {"HX-Request": "true"}


def page(client: Client, url: str, **query: str) -> str:
    response = client.get(url, query)
    assert response.status_code == 200, response.status_code
    return response.content.decode()
