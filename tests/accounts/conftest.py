from collections.abc import Iterator

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def _no_counters(db: None) -> Iterator[None]:
    """The limits count in a table that is no model's, which stays when a test empties the database."""
    cache.clear()
    yield
    cache.clear()
