"""The kinds of resource, one folder each. A new kind is a new folder: nothing else lists them."""

import pkgutil
from importlib import import_module

from resources.kinds.base import Category, Kind


def _found() -> dict[str, Kind]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)
    kinds: list[Kind] = [import_module(f"{__name__}.{name}").KIND for name in names]
    order = list(Category)
    kinds.sort(key=lambda kind: (order.index(kind.category), kind.label.casefold()))
    return {kind.slug: kind for kind in kinds}


# By slug, in the order in which they are offered.
KINDS = _found()
