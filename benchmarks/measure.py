"""What is measured: each page of the console, then both admins' answer to the same question, round by round."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median, quantiles

from benchmarks.databases import Server
from benchmarks.serving import Answer, Console, Page, serving

# The admin needs many seconds for some pages: it is asked again while it has taken no more than this.
ADMIN_SECONDS = 1.0
# The size whose queries the others are compared with.
FEW = "small"


@dataclass(frozen=True, slots=True)
class Bounds:
    rounds: int
    size: str
    # Only those with this in their name.
    pages: str = ""


@dataclass
class Timing:
    """Milliseconds until the last byte was here, and those of them for which the processor was kept."""

    times: list[float] = field(default_factory=list)
    cpu_times: list[float] = field(default_factory=list)
    fastest: float = 0.0
    median: float = 0.0
    p95: float = 0.0
    cpu: float = 0.0

    def add(self, answer: Answer) -> None:
        self.times.append(answer.seconds * 1000)
        self.cpu_times.append(answer.cpu * 1000)

    def summarise(self) -> None:
        self.fastest = min(self.times)
        self.median, self.cpu = median(self.times), median(self.cpu_times)
        self.p95 = quantiles(self.times, n=20, method="inclusive")[-1] if len(self.times) > 1 else self.median


@dataclass
class Measured:
    name: str
    is_filter: bool
    ours: Timing = field(default_factory=Timing)
    admin: Timing = field(default_factory=Timing)
    admin_with_filters: Timing = field(default_factory=Timing)
    # At a hundred rows, and at all of them.
    queries_small: int = 0
    queries: int = 0


@dataclass
class Result:
    pages: list[Measured]
    # Bytes over the wire of the first page of the list of clusters.
    first_visit: int
    next_visit: int


def measure(server: Server, bounds: Bounds) -> Result:
    with serving(server.directory, server.url(FEW), FEW) as console:
        few = {page.name: console.get(page.ours).queries for page in console.pages}
    with serving(server.directory, server.url(bounds.size), bounds.size) as console:
        pages = [page for page in console.pages if bounds.pages in page.name]
        measured = [Measured(page.name, page.is_filter, queries_small=few[page.name]) for page in pages]
        _warm_up(console, pages, measured)
        for number in range(bounds.rounds):
            print(f"\rround {number + 1} of {bounds.rounds} ", end="", file=sys.stderr, flush=True)
            _round(console, zip(pages, measured, strict=True))
        print(file=sys.stderr)
        page = console.get(console.pages[0].ours)
        first_visit = page.size + console.assets(page)
    for each in measured:
        for timing in (each.ours, each.admin, each.admin_with_filters):
            timing.summarise()
    return Result(measured, first_visit, page.size)


def _warm_up(console: Console, pages: list[Page], measured: list[Measured]) -> None:
    for page, result in zip(pages, measured, strict=True):
        answer = console.get(page.ours)
        result.queries = answer.queries
        if "after=" in page.ours and 'rel="prev"' not in answer.text:
            raise RuntimeError(f"{page.name}: this is not a page in the middle.")


def _round(console: Console, pages: Iterable[tuple[Page, Measured]]) -> None:
    for page, result in pages:
        result.ours.add(console.get(page.ours))
        timings = (result.admin, result.admin_with_filters)
        for path, timing in zip(_admins(page), timings, strict=True):
            if sum(timing.times) < ADMIN_SECONDS * 1000:
                timing.add(console.get(path))


def _admins(page: Page) -> tuple[str, str]:
    return page.admin, page.admin.replace("/admin/", "/admin-with-filters/", 1)
