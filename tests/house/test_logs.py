import logging

import pytest

from console.logs import RefusalsInOneLine
from tests.conftest import sign_in


def lines_of(act):
    """What the log says of `act`, formatted as the console does."""
    found = []

    class Keep(logging.Handler):
        def emit(self, record):
            found.append(self.format(record))

    handler = Keep()
    handler.addFilter(RefusalsInOneLine())
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        act()
    finally:
        logging.getLogger().removeHandler(handler)
    return found


def test_a_refused_permission_is_a_warning_of_one_line(charlie):
    lines = lines_of(lambda: sign_in(charlie).get("/networking/proxy-clusters/"))
    assert lines == ["WARNING Forbidden (Permission denied): /networking/proxy-clusters/"]


def test_too_much_is_a_warning_of_one_line(client, db):
    lines = lines_of(lambda: client.post("/sign-in/", {f"field-{number}": "" for number in range(5_001)}))
    assert lines
    assert all(line.startswith("WARNING") and "Traceback" not in line for line in lines)


def test_a_fault_of_ours_keeps_its_traceback():
    def fail():
        try:
            raise RuntimeError("ours")
        except RuntimeError:
            logging.getLogger("django.request").exception("Internal Server Error", extra={"status_code": 500})

    (line,) = lines_of(fail)
    assert line.startswith("ERROR")
    assert "RuntimeError: ours" in line


def test_an_address_for_forms_alone_says_so(alice_client):
    response = alice_client.get("/resources/moves/")
    assert response.status_code == 405
    assert "only takes what a form sends" in response.content.decode()


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        ("http://testserver/audit/activities/?actor=x", "/audit/activities/%3Factor%3Dx"),
        ("https://evil.example.com/", "/"),
        ("", "/"),
    ],
)
def test_after_signing_in_one_is_at_a_page_and_not_at_a_form(client, db, referer, back):
    response = client.post("/audit/activities/export/", headers={"Referer": referer})
    assert response.status_code == 302
    assert response.headers["Location"].endswith(f"?next={back}")
