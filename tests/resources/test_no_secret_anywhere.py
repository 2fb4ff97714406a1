"""A secret goes into its envelope and nowhere else: every response, header, log record and row is searched."""

import base64
import json
import logging

import pytest
from django.apps import apps
from django.db import connection

from resources.models import Resource
from tests.conftest import sign_in
from tests.resources.factories import make_resource, private_key, sent, stored_secret

SECRETS = ["S3cret-of-the-Database", "Bearer S3cret-token", private_key()]


def spellings(secret):
    """The secret, and what it would look like when it was encoded on the way."""
    encoded = secret.encode()
    wrapped = {base64.b64encode(encoded[start:])[:-4].decode() for start in range(3)}
    return {
        secret,
        secret.strip(),
        secret.splitlines()[-2 if "\n" in secret else 0],
        encoded.hex(),
        repr(encoded),
        *wrapped,
    }


def whole_database():
    """All rows of all tables, as text."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608  # names of our own tables
            for row in cursor.fetchall():
                cells = [bytes(cell) if isinstance(cell, memoryview) else cell for cell in row]
                yield table, repr(cells) + "".join(cell.hex() for cell in cells if isinstance(cell, bytes))


@pytest.mark.parametrize(
    ("kind", "field", "secret"),
    [
        ("postgres", "password", SECRETS[0]),
        ("httpAuth", "auth_header", SECRETS[1]),
        ("sshCustomerKey", "private_key", SECRETS[2]),
    ],
)
def test_nowhere(alice, caplog, kind, field, secret):
    caplog.set_level(logging.DEBUG)
    client, late_client = sign_in(alice), sign_in(alice, confirmed=False)
    new = f"/resources/new/{kind}/"
    other = make_resource(alice, "other", kind=kind)
    page = f"/resources/{other.pk}/"
    replace = f"{page}credentials/{field}/"
    responses = [
        client.post(new, sent(kind, name="", **{field: secret})),
        client.post(new, sent(kind, name="other", **{field: secret})),
        client.post(new, sent(kind, cluster="nowhere", **{field: secret}), headers={"HX-Request": "true"}),
        client.post(new, sent(kind, name="with-secret", **{field: secret}), follow=True),
        late_client.post(replace, {"secret": secret}, follow=True),
        late_client.post(replace, {"secret": secret}, headers={"HX-Request": "true"}),
        client.post(replace, {"secret": secret + "\0"}),
        client.post(replace, {"secret": secret, "remove": "on"}, follow=True),
        client.post(f"{page}edit/", sent(kind, name="other", version=1, **{field: secret}), follow=True),
        client.get("/resources/"),
        client.get(page),
        client.get(replace),
        client.get(f"{page}edit/"),
        client.get(f"{page}deletion/"),
        client.get("/audit/activities/"),
    ]
    assert stored_secret(other, field) == secret
    assert stored_secret(Resource.objects.get(name="with-secret"), field) == secret
    seen = [("response", response.content.decode() + str(response.headers)) for response in responses]
    seen += [("cookies", str(found.cookies)) for found in (client, late_client)]
    seen += [("session", json.dumps(dict(found.session), default=str)) for found in (client, late_client)]
    seen += [
        ("log", record.getMessage() + repr(record.args) + str(record.exc_info)) for record in caplog.records
    ]
    seen += whole_database()
    assert len(seen) > 40 and {table for table, _ in seen} >= {"resources_credential", "django_session"}
    for where, text in seen:
        for spelling in spellings(secret):
            assert spelling not in text, where


def test_no_model_shows_what_is_sealed_in_its_name(alice):
    for model in apps.get_app_config("resources").get_models():
        assert "sealed" not in str(model.__str__.__code__.co_names)
