"""Every route of the console, with an object behind each id in it."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from django.urls import URLPattern, URLResolver, get_resolver


class Route(NamedTuple):
    name: str
    # As in `networking/proxy-clusters/<str:cluster_id>/keys/`
    pattern: str
    parameters: tuple[str, ...]

    def url(self, values: Mapping[str, str]) -> str:
        """The address with `values` in place of the parameters."""
        url = self.pattern
        for parameter in self.parameters:
            converter = next(c for c in ("str", "int", "slug", "uuid", "path") if f"<{c}:{parameter}>" in url)
            url = url.replace(f"<{converter}:{parameter}>", values[parameter])
        return f"/{url}"


def all_routes() -> list[Route]:
    return list(_routes(get_resolver().url_patterns, "", ""))


def _routes(patterns: list[URLPattern | URLResolver], prefix: str, namespace: str) -> Iterator[Route]:
    for pattern in patterns:
        text = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _routes(pattern.url_patterns, text, inner)
        else:
            yield Route(f"{namespace}{pattern.name}", text, tuple(pattern.pattern.converters))
