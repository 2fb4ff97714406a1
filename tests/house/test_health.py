import io
import logging

import pytest
from django.db import OperationalError, connection
from django.http import HttpResponse

from console.middleware import HealthMiddleware


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "10.1.2.3:8000", "anything.example.com", "a b"])
def test_a_probe_is_answered_under_any_name(client, db, host):
    response = client.get("/healthz", headers={"Host": host})
    assert (response.status_code, response.content) == (200, b"ok\n")


def test_a_probe_needs_the_database(rf, db, monkeypatch):
    def fail():
        raise OperationalError("gone")

    with monkeypatch.context() as broken, pytest.raises(OperationalError):
        broken.setattr(connection, "cursor", fail)
        HealthMiddleware(lambda request: HttpResponse())(rf.get("/healthz"))


def test_a_probe_is_looked_at_and_not_written_to(client, db):
    assert client.post("/healthz").status_code == 405


def test_a_wrong_host_is_refused_without_a_line_in_the_log(client, db):
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    logging.getLogger().addHandler(handler)
    try:
        assert client.get("/", headers={"Host": "evil.example.com"}).status_code == 400
    finally:
        logging.getLogger().removeHandler(handler)
    assert "evil" not in lines.getvalue()
