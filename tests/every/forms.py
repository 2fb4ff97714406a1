"""The forms of a page, filled in as somebody hostile would."""

from html.parser import HTMLParser
from typing import NamedTuple

HOSTILE = {
    "nothing": "",
    "markup": '"><script>alert(1)</script>',
    "quotes": "'\"`; DROP TABLE clusters_cluster; --",
    "NUL": "a\0b",
    "emoji": "☕️🦀",
    "right to left": "\u202egnp.exe",
    "template": "{{ request.user.password }}{% debug %}",
    "huge": "x" * 1_000_000,
    "number": "-99999999999999999999999999",
    "lines": "a\r\nSet-Cookie: x=1\x1b[2J",
}


class Form(NamedTuple):
    action: str
    names: tuple[str, ...]


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and (given.get("method") or "get").lower() == "post":
            self.found.append((given.get("action") or "", []))
        elif tag in ("input", "select", "textarea", "button") and given.get("name") and self.found:
            self.found[-1][1].append(given["name"] or "")


def forms_in(page: str, url: str) -> list[Form]:
    parser = _Forms()
    parser.feed(page)
    return [Form(action or url, tuple(dict.fromkeys(names))) for action, names in parser.found]
