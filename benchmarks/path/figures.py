"""What was measured, as rows of a table."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median

from benchmarks.connections import Compared


@dataclass(slots=True)
class Figure:
    name: str
    # The other side of the comparison.
    against: str
    # How its numbers are written.
    form: str
    # What ours has to be of theirs, at least or at most; none for what is told for itself.
    sign: str = ""
    target: float = 0
    compared: Compared = field(default_factory=Compared)

    @property
    def falls_short(self) -> bool:
        if not self.sign:
            return False
        ratio = self.compared.ratio
        return ratio < self.target if self.sign == "≥" else ratio > self.target


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of ours that may not be exceeded, whatever others do; or that is told for itself."""

    name: str
    found: list[float]
    unit: str
    most: float | None = None
    against: str = ""
    theirs: float | None = None


Result = Figure | Limit


def markdown(results: Iterable[Result]) -> Iterator[str]:
    yield "| | worker | | against | ratio | target |"
    yield "| --- | --: | --- | --: | --: | --: |"
    for result in results:
        cells = _figure(result) if isinstance(result, Figure) else _limit(result)
        yield f"| {' | '.join(cells)} |"


def _figure(figure: Figure) -> Iterator[str]:
    compared = figure.compared
    ratio = f"{compared.ratio:.2f}"
    yield figure.name
    yield f"{median(compared.ours):{figure.form}}"
    yield figure.against
    yield f"{median(compared.theirs):{figure.form}}"
    yield f"**{ratio}**" if figure.falls_short else ratio
    yield f"{figure.sign} {figure.target}" if figure.sign else ""


def _limit(limit: Limit) -> Iterator[str]:
    found = median(limit.found)
    text = f"{found:.0f} {limit.unit}"
    yield limit.name
    yield f"**{text}**" if limit.most is not None and found > limit.most else text
    yield limit.against
    yield "" if limit.theirs is None else f"{limit.theirs:.0f} {limit.unit}"
    yield ""
    yield "" if limit.most is None else f"≤ {limit.most:.0f} {limit.unit}"
