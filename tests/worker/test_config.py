"""The settings: what each may be, and what is said when it is not."""

import json
import logging
from pathlib import Path

import pytest

from sdm.contract.keys import SecretKey
from sdm.control_plane.where import ControlPlane
from sdm.worker import config
from sdm.worker.config import CertSource, ClientAuth, ConfigError, Listen, load
from sdm.worker.logs import JsonFormatter, TextFormatter

ACCESS = "gk-0123456789abcdef"
SECRET = SecretKey(bytes(range(32))).reveal()
NEEDED = {
    "SDM_PROXY_CLUSTER_ACCESS_KEY": ACCESS,
    "SDM_PROXY_CLUSTER_SECRET_KEY": SECRET,
    "SDM_APP_DOMAIN": "console.example.com",
}


def problems(**settings: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(NEEDED | settings)
    text = str(caught.value)
    assert SECRET not in text
    assert SECRET[7:20] not in text
    return caught.value.problems


def test_three_are_enough():
    found = load(NEEDED)
    assert found.control_plane == ControlPlane("console.example.com", 443, frozenset())
    assert found.bind == Listen("", 8443)
    assert found.cert_source is CertSource.STRONGDM
    assert found.client_auth is ClientAuth.DIRECT
    assert found.probes is None
    assert found.metrics is None
    assert found.secret_key.reveal() == SECRET
    assert SECRET not in repr(found)
    assert repr(found.secret_key.seed) not in repr(found)


def test_everything_that_is_missing_is_said_at_once():
    with pytest.raises(ConfigError) as caught:
        load({})
    named = [problem.partition(" ")[0] for problem in caught.value.problems]
    assert named == list(NEEDED)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SDM_BIND_ADDRESS", "8443", "give an address to listen on"),
        ("SDM_BIND_ADDRESS", ":70000", "give an address to listen on"),
        ("SDM_BIND_ADDRESS", "no host:1", "The host is not a name"),
        ("SDM_TLS_CERT_SOURCE", "vault", "give one of strongdm, file, none"),
        ("SDM_TLS_CLIENT_AUTH", "mutual", "give one of direct, none"),
        ("SDM_ORCHESTRATOR_PROBES", "yes", "give an address to listen on"),
        ("SDM_MAINTENANCE_WINDOW_START", "24", "from 0 to 23"),
        ("SDM_WORKERS", "0", "from 1 to 256"),
        ("SDM_SHUTDOWN_TIMEOUT", "-1", "from 0 to 86400"),
        ("SDM_SHUTDOWN_NOTICE", "٣", "from 0 to 600"),
        ("SDM_OFFLINE_GRACE", "1h", "from 0 to 604800"),
        ("SDM_APP_DOMAIN", "https://console.example.com", "give a host"),
        ("SDM_APP_DOMAIN", "console.example.com:0", "give a host"),
        ("SDM_APP_CA_PIN", "sha256:abc", "64 hexadecimal digits"),
        ("SDM_PROXY_PROTOCOL_TRUSTED", "10.0.0.1/8", "give networks such as 10.0.0.0/8"),
        ("SDM_FORWARDED_FOR_TRUSTED", "everybody", "give networks such as 10.0.0.0/8"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, value: str, expected: str):
    (problem,) = problems(**{name: value})
    assert problem.startswith(f"{name}={value!r}: ") or value.lower() in problem
    assert expected in problem


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"SDM_PROXY_CLUSTER_ACCESS_KEY": ACCESS[:-1]}, "Was it copied completely?"),
        ({"SDM_PROXY_CLUSTER_ACCESS_KEY": SECRET}, "Is it the secret key?"),
        ({"SDM_PROXY_CLUSTER_SECRET_KEY": SECRET[:-1]}, "Was it copied completely?"),
        ({"SDM_PROXY_CLUSTER_SECRET_KEY": ACCESS}, "Is this the access key?"),
        ({"SDM_PROXY_CLUSTER_SECRET_KEY": SECRET[:-1] + "z"}, "wrong character"),
        (
            {"SDM_PROXY_CLUSTER_ACCESS_KEY": SECRET, "SDM_PROXY_CLUSTER_SECRET_KEY": ACCESS},
            "exchange them",
        ),
    ],
)
def test_keys_that_are_none_are_told_before_anything_is_sent(settings: dict[str, str], expected: str):
    (problem,) = problems(**settings)
    assert expected in problem


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (":9000", ":9000"),
        (":9000", "127.0.0.1:9000"),
        ("0.0.0.0:9000", "127.0.0.1:9000"),
        ("[::]:9000", "[::1]:9000"),
        ("localhost:9000", "LOCALHOST:9000"),
    ],
)
def test_two_settings_with_one_address_are_both_named(one: str, other: str):
    (problem,) = problems(SDM_BIND_ADDRESS=one, SDM_METRICS_LISTEN_ADDRESS=other)
    assert "SDM_BIND_ADDRESS=" in problem
    assert "SDM_METRICS_LISTEN_ADDRESS=" in problem
    assert "are the same address" in problem
    (problem,) = problems(SDM_ORCHESTRATOR_PROBES=other, SDM_METRICS_LISTEN_ADDRESS=one)
    assert problem.startswith("SDM_ORCHESTRATOR_PROBES=")


@pytest.mark.parametrize(
    ("one", "other"),
    [(":0", ":0"), (":1", ":2"), ("127.0.0.1:1", "127.0.0.2:1"), ("0.0.0.0:1", "[::1]:1")],
)
def test_addresses_that_one_machine_can_have_together_are_fine(one: str, other: str):
    assert load(NEEDED | {"SDM_BIND_ADDRESS": one, "SDM_ORCHESTRATOR_PROBES": other}).probes


def test_wrong_settings_of_the_log_hide_no_others():
    found = problems(SDM_LOG_FORMAT="xml", SDM_VERBOSE="loud", SDM_WORKERS="0")
    assert [problem.partition("=")[0] for problem in found] == [
        "SDM_LOG_FORMAT",
        "SDM_VERBOSE",
        "SDM_WORKERS",
    ]
    assert config.log_settings({"SDM_LOG_FORMAT": "xml", "SDM_VERBOSE": "loud"}) == (
        config.LogFormat.TEXT,
        False,
    )


def test_keys_come_from_files_too(tmp_path: Path):
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    environment = {**NEEDED, "SDM_PROXY_CLUSTER_SECRET_KEY_FILE": str(file)}
    (problem,) = problems(SDM_PROXY_CLUSTER_SECRET_KEY_FILE=str(file))
    assert "both set" in problem
    del environment["SDM_PROXY_CLUSTER_SECRET_KEY"]
    assert load(environment).secret_key.reveal() == SECRET
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="it is not text"):
        load(environment)
    file.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        load(environment)


def test_the_forbidden_combination_is_refused():
    (problem,) = problems(SDM_TLS_CERT_SOURCE="none")
    assert "Set SDM_TLS_CLIENT_AUTH=none as well" in problem
    allowed = load({**NEEDED, "SDM_TLS_CERT_SOURCE": "none", "SDM_TLS_CLIENT_AUTH": "none"})
    assert allowed.client_auth is ClientAuth.NONE


def test_a_certificate_from_files_needs_both():
    assert [problem.partition(" ")[0] for problem in problems(SDM_TLS_CERT_SOURCE="file")] == [
        "SDM_TLS_CERT_FILE",
        "SDM_TLS_KEY_FILE",
    ]


@pytest.mark.parametrize(
    ("host", "plaintext"),
    [
        ("127.0.0.1:50051", True),
        ("127.8.8.8", True),
        ("[::1]:1", True),
        ("localhost", True),
        ("worker.localhost", True),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("[::ffff:10.0.0.1]:1", False),
    ],
)
def test_it_speaks_in_the_clear_on_this_machine_alone(host: str, plaintext: bool):
    assert load({**NEEDED, "SDM_APP_DOMAIN": host}).control_plane.plaintext is plaintext
    pinned = load({**NEEDED, "SDM_APP_DOMAIN": host, "SDM_APP_CA_PIN": "AB:" * 31 + "AB"}).control_plane
    assert not pinned.plaintext
    assert pinned.pins == {"ab" * 32}


def test_several_authorities_may_be_pinned():
    pins = f"sha256:{'ab' * 32}, {'CD:' * 31}CD"
    assert load({**NEEDED, "SDM_APP_CA_PIN": pins}).control_plane.pins == {"ab" * 32, "cd" * 32}


@pytest.mark.parametrize(
    "pins", ["sha256:", "sha1:" + "ab" * 32, "ab" * 31, ",".join(["ab" * 32] * 11), "é" * 64]
)
def test_what_is_no_pin_is_named(pins: str):
    with pytest.raises(ConfigError, match="give sha256: and the 64 hexadecimal digits"):
        load({**NEEDED, "SDM_APP_CA_PIN": pins})


def test_what_is_no_setting_is_named_with_the_nearest_that_is():
    found = config.warnings({"SDM_BIND_ADRESS": "x", "SDM_ZZZ": "x", "SDM_DOCKERIZED": "true", "PATH": "x"})
    assert found == [
        "SDM_BIND_ADRESS is not a setting. Did you mean SDM_BIND_ADDRESS?",
        "SDM_DOCKERIZED is set, and not used by this version.",
        "SDM_ZZZ is not a setting.",
    ]
    assert config.warnings(dict.fromkeys(config.KNOWN, "x") | {"SDM_TLS_CERT_SOURCE": "file"}) == []


def test_certificate_files_that_nobody_asked_for_are_named():
    assert config.warnings({"SDM_TLS_CERT_FILE": "/a.pem", "SDM_TLS_KEY_FILE": ""}) == [
        "SDM_TLS_CERT_FILE is set, and not used without SDM_TLS_CERT_SOURCE=file."
    ]


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_log_line_is_one_line_whatever_is_in_it(formatter: logging.Formatter):
    text = "a\r\nb\x1b[31m\u2028\u202e\x85é"
    line = formatter.format(logging.LogRecord("x", logging.INFO, "x", 1, "%s", (text,), None))
    assert line.isprintable()
    if isinstance(formatter, JsonFormatter):
        assert json.loads(line)["message"] == text
    else:
        assert line.endswith("info a\\r\\nb\\x1b[31m\\u2028\\u202e\\x85é")
