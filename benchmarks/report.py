"""The figures as Markdown."""

from collections.abc import Iterator, Mapping

from benchmarks.measure import Measured, Result, Timing

SLOWEST = 60.0
MOST_QUERIES = 12
TIMES_FASTER = 10.0
FIRST_VISIT = 60_000
NEXT_VISIT = 15_000


def markdown(machine: Mapping[str, str], results: Mapping[str, Result]) -> str:
    lines = [", ".join(f"{name} {value}" for name, value in machine.items())]
    for name, result in results.items():
        lines += ["", f"### {name}", "", *_table(result), "", *_summary(result)]
    return "\n".join(lines)


def _table(result: Result) -> Iterator[str]:
    yield "| page | median ms | fastest | p95 | CPU | queries | admin | times | admin with list_filter | times |"
    yield "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
    for page in result.pages:
        ours = page.ours
        cells = [
            page.name,
            _marked(ours.median, ".1f", ours.median > SLOWEST),
            *(f"{value:.1f}" for value in (ours.fastest, ours.p95, ours.cpu)),
            _queries(page),
            *_compared(page, page.admin),
            *_compared(page, page.admin_with_filters),
        ]
        yield f"| {' | '.join(cells)} |"


def _queries(page: Measured) -> str:
    return (
        str(page.queries) if page.queries == page.queries_small else f"{page.queries} ({page.queries_small})"
    )


def _compared(page: Measured, admin: Timing) -> tuple[str, str]:
    ratio = admin.median / page.ours.median
    return f"{admin.median:,.0f}", _marked(ratio, ".1f", page.is_filter and ratio < TIMES_FASTER)


def _marked(value: float, form: str, falls_short: bool) -> str:
    return f"**{value:{form}}**" if falls_short else f"{value:{form}}"


def _summary(result: Result) -> Iterator[str]:
    slowest = max(result.pages, key=lambda page: page.ours.median)
    queries = max(page.queries for page in result.pages)
    yield f"- Slowest page: {slowest.ours.median:.0f} ms of {SLOWEST:.0f}, {slowest.name}."
    yield f"- Queries: {queries} of {MOST_QUERIES} at most; {_growth(result.pages)}."
    first, later = _kilobytes(result.first_visit, FIRST_VISIT), _kilobytes(result.next_visit, NEXT_VISIT)
    yield f"- First visit: {first}; after it {later}."


def _kilobytes(size: int, most: int) -> str:
    return f"{size / 1000:.1f} kB of {most / 1000:.0f}"


def _growth(pages: list[Measured]) -> str:
    grown = sum(page.queries != page.queries_small for page in pages)
    return (
        f"{grown} pages take another number at 100 rows"
        if grown
        else "the same at 100 rows and at all of them"
    )
