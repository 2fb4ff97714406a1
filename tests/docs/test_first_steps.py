"""README's first steps and the browser tests that do them speak of the same buttons and fields."""

import re

from tests.docs.pages import code_spans, section
from tests.house.checkout import ROOT

STEPS = section(ROOT / "README.md", "Your own")
DEMO = section(ROOT / "README.md", "The first five minutes")
BROWSER = ROOT / "tests" / "browser"
DEMO_TEST = (BROWSER / "test_the_demo.py").read_text()
TEST = (BROWSER / "test_first_cluster.py").read_text() + (BROWSER / "product.py").read_text()


def test_every_label_that_the_steps_name_is_used_by_the_test():
    labels = re.findall(r"\*\*(.+?)\*\*|\*([^*\n]+)\*", re.sub(r"\s+", " ", STEPS))
    named = {bold or slanted for bold, slanted in labels} - {"There is no administrator yet"}
    assert {"Create administrator", "Add proxy cluster", "Waiting for a worker …"} <= named
    assert not {label for label in named if label not in TEST}


def test_every_value_that_the_steps_name_is_typed_by_the_test():
    values = set(code_spans(STEPS)) - {"./dev run"}
    assert not {value for value in values if value not in TEST}


def test_the_demo_is_gone_through_as_it_is_told():
    bold = set(re.findall(r"\*\*(.+?)\*\*", re.sub(r"\s+", " ", DEMO)))
    assert {"Approve", "Queries", "End session"} <= bold
    assert not {label for label in bold if label not in DEMO_TEST}
    assert not {value for value in code_spans(DEMO) if value not in DEMO_TEST}
