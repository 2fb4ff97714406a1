"""docs/worker.md is true: its settings, defaults, choices, exit codes and limits are the code's."""

import re
from enum import StrEnum

import pytest

from sdm.contract.keys import SecretKey
from sdm.exit_codes import ExitCode
from sdm.worker import config, front, http
from sdm.worker.config import CertSource, ClientAuth, LogFormat
from tests.docs.pages import section, table
from tests.house.checkout import ROOT

PAGE = ROOT / "docs" / "worker.md"
CLIENT_PAGE = ROOT / "docs" / "client.md"
ROWS = {row["name"].strip("`"): row for row in table(section(PAGE, "Settings"), "name")}
NEEDED = {
    "SDM_PROXY_CLUSTER_ACCESS_KEY": "gk-0123456789abcdef",
    "SDM_PROXY_CLUSTER_SECRET_KEY": SecretKey(bytes(32)).reveal(),
    "SDM_APP_DOMAIN": "localhost",
}


def test_every_setting_has_a_row_and_every_row_a_setting():
    assert set(ROWS) == set(config.KNOWN)


def test_the_needed_are_needed_and_the_rest_is_not():
    assert {name for name, row in ROWS.items() if row["default"] == "needed"} == set(NEEDED)
    config.load(NEEDED)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row["default"].startswith("`")])
def test_saying_the_default_changes_nothing(name: str):
    default = ROWS[name]["default"].strip("`")
    assert config.load({**NEEDED, name: default}) == config.load(NEEDED)
    assert config.log_settings({name: default}) == config.log_settings({})


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("SDM_TLS_CERT_SOURCE", CertSource),
        ("SDM_TLS_CLIENT_AUTH", ClientAuth),
        ("SDM_LOG_FORMAT", LogFormat),
    ],
)
def test_every_choice_is_named(name: str, choices: type[StrEnum]):
    assert all(f"`{choice}`" in ROWS[name]["meaning"] for choice in choices)


def test_every_exit_code_is_said():
    rows = {int(row["code"]): row["name"].strip("`") for row in table(section(PAGE, "Exit codes"), "code")}
    clients = {int(row["code"]) for row in table(section(CLIENT_PAGE, "Exit codes"), "code")}
    codes = {code.value: code.name for code in ExitCode}
    assert rows.items() <= codes.items()
    assert rows.keys() | clients == codes.keys()


def test_the_limits_are_those():
    limits, text = front.Limits(), section(PAGE, "Limits")
    assert (limits.handshake, limits.request) == (10, 10)
    assert re.search(r"each process keeps ([\d,]+)", text)
    assert f"{limits.pending:,}" in text
    assert http.MAX_HEAD == 16 * 1024
