import base64
import os
import socket
import stat
from pathlib import Path

import pytest

from console import api_names, first_run
from console.env import SettingError
from console.first_run import Listen
from sealing import keyring


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def loopback():
    """A port of loopback that is taken."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Listen("127.0.0.1", server.getsockname()[1])


class TestListen:
    def test_the_default_is_loopback(self, monkeypatch):
        monkeypatch.delenv("CONSOLE_LISTEN", raising=False)
        assert str(first_run.listen()) == "127.0.0.1:8000"

    @pytest.mark.parametrize(
        ("value", "host", "url"),
        [
            ("10.0.0.5:80", "10.0.0.5", "http://10.0.0.5:80"),
            ("localhost:9000", "localhost", "http://localhost:9000"),
            ("0.0.0.0:8000", "0.0.0.0", "http://127.0.0.1:8000"),
            ("[::]:8000", "::", "http://[::1]:8000"),
            ("[2001:db8::1]:8000", "2001:db8::1", "http://[2001:db8::1]:8000"),
        ],
    )
    def test_it_reads_an_address_and_knows_what_to_open(self, monkeypatch, value, host, url):
        monkeypatch.setenv("CONSOLE_LISTEN", value)
        where = first_run.listen()
        assert (where.host, where.url, str(where)) == (host, url, value)

    @pytest.mark.parametrize(
        "value", ["8000", ":8000", "localhost", "a:0", "a:65536", "a:x", "::1:8000", "a:²"]
    )
    def test_it_refuses_what_is_none(self, monkeypatch, value):
        monkeypatch.setenv("CONSOLE_LISTEN", value)
        with pytest.raises(SettingError, match="give an address and port"):
            first_run.listen()

    def test_a_taken_port_is_named_with_another_to_choose(self, loopback):
        with pytest.raises(SettingError) as raised:
            first_run.check_port(loopback, "CONSOLE_LISTEN")
        assert f"Cannot listen on {loopback}" in str(raised.value)
        assert f"CONSOLE_LISTEN=127.0.0.1:{loopback.port + 1}" in str(raised.value)

    def test_an_address_of_another_machine_is_refused(self):
        with pytest.raises(SettingError, match=r"Cannot listen on 192\.0\.2\.1:8000"):
            first_run.check_port(Listen("192.0.2.1", 8000), "CONSOLE_LISTEN")


class TestApi:
    """Where workers connect to."""

    def test_it_is_here_alone_unless_told_otherwise(self, monkeypatch):
        monkeypatch.delenv("CONSOLE_API_LISTEN", raising=False)
        assert str(first_run.api_listen()) == "127.0.0.1:8001"

    @pytest.mark.parametrize("value", ["127.0.0.1:1", "[::1]:9", "localhost:7"])
    def test_in_the_clear_on_this_machine(self, monkeypatch, value):
        monkeypatch.setenv("CONSOLE_API_LISTEN", value)
        assert str(first_run.api_listen()) == value

    @pytest.mark.parametrize("value", ["0.0.0.0:8001", "[::]:8001", "10.0.0.1:8001", "api.example.com:443"])
    def test_beyond_it_with_a_certificate_of_the_operator_s_or_our_own(
        self, monkeypatch, tmp_path: Path, value
    ):
        monkeypatch.setenv("CONSOLE_API_LISTEN", value)
        assert str(first_run.api_listen()) == value
        names = ("CONSOLE_API_TLS_CERT_FILE", "CONSOLE_API_TLS_KEY_FILE")
        for name in names:
            (tmp_path / name).touch()
        monkeypatch.setenv(names[0], str(tmp_path / names[0]))
        with pytest.raises(SettingError, match="a certificate and its key are given together"):
            first_run.api_listen()
        monkeypatch.setenv(names[1], str(tmp_path / names[1]))
        assert str(first_run.api_listen()) == value

    @pytest.mark.parametrize(
        ("given", "domain", "listen", "names"),
        [
            ("", "console.example.com:8001", "0.0.0.0", ["console.example.com"]),
            ("", "console.example.com", "::", ["console.example.com"]),
            ("", "[2001:db8::1]:8001", "10.0.0.1", ["[2001:db8::1]", "10.0.0.1"]),
            ("", "Console.Example.COM:443", "api.example.com", ["console.example.com", "api.example.com"]),
            ("a.example.com, 10.0.0.2", "other:8001", "10.0.0.1", ["a.example.com", "10.0.0.2"]),
            ("2001:db8::2 localhost", "other:8001", "::", ["[2001:db8::2]"]),
        ],
    )
    def test_the_names_of_our_own(self, monkeypatch, given, domain, listen, names):
        monkeypatch.setenv("CONSOLE_API_NAMES", given)
        found = api_names.names(domain, Listen(listen, 8001))
        assert [name for name in found if name not in api_names.HERE] == names
        assert set(api_names.HERE) <= set(found)

    @pytest.mark.parametrize(
        "given", ["*.example.com", "a:b", "ü", "x" * 64, " ".join(f"a{n}" for n in range(18))]
    )
    def test_what_is_no_name_is_said(self, monkeypatch, given):
        monkeypatch.setenv("CONSOLE_API_NAMES", given)
        with pytest.raises(SettingError, match="CONSOLE_API_NAMES: "):
            api_names.names("console.example.com:8001", Listen("0.0.0.0", 8001))

    def test_a_certificate_that_is_not_there_is_named(self, monkeypatch):
        monkeypatch.setenv("CONSOLE_API_TLS_CERT_FILE", "/nowhere/certificate.pem")
        monkeypatch.setenv("CONSOLE_API_TLS_KEY_FILE", "/nowhere/key.pem")
        with pytest.raises(SettingError, match=r"CONSOLE_API_TLS_CERT_FILE='/nowhere/certificate\.pem'"):
            first_run.api_certificate()


class TestDataDirectory:
    def test_it_is_made_for_its_owner_alone(self, tmp_path: Path):
        first_run.make_data_directory(tmp_path / "a" / "data")
        assert mode(tmp_path / "a" / "data") == 0o700

    def test_an_empty_one_is_closed_to_others(self, tmp_path: Path):
        (tmp_path / "data").mkdir()
        (tmp_path / "data").chmod(0o755)
        first_run.make_data_directory(tmp_path / "data")
        assert mode(tmp_path / "data") == 0o700

    def test_one_that_others_may_share_is_left_as_it_is(self, tmp_path: Path, monkeypatch):
        for name in ("full", "mounted"):
            (tmp_path / name).mkdir()
            (tmp_path / name).chmod(0o775)
        (tmp_path / "full" / "theirs").touch()
        first_run.make_data_directory(tmp_path / "full")
        assert mode(tmp_path / "full") == 0o775
        monkeypatch.setattr(os, "geteuid", lambda: -1)  # it belongs to root, as volumes of containers may
        first_run.make_data_directory(tmp_path / "mounted")
        assert mode(tmp_path / "mounted") == 0o775

    def test_one_that_cannot_be_made_is_named(self, tmp_path: Path):
        (tmp_path / "file").touch()
        with pytest.raises(
            SettingError, match=r"file/data cannot be written: Not a directory\. .*CONSOLE_DATA_DIR"
        ):
            first_run.make_data_directory(tmp_path / "file" / "data")

    def test_one_that_cannot_be_written_is_named(self, tmp_path: Path, monkeypatch):
        monkeypatch.setattr(os, "access", lambda path, how: False)  # as it is for anybody but root
        with pytest.raises(SettingError, match="cannot be written: Permission denied"):
            first_run.make_data_directory(tmp_path)

    def test_only_one_process_holds_it(self, tmp_path: Path):
        lock = first_run.hold(tmp_path, Listen("127.0.0.1", 8123))
        with pytest.raises(SettingError) as raised:
            first_run.hold(tmp_path, Listen("127.0.0.1", 9000))
        assert f"already running from {tmp_path}" in str(raised.value)
        assert f"process {os.getpid()}, http://127.0.0.1:8123" in str(raised.value)
        os.close(lock)
        os.close(first_run.hold(tmp_path, Listen("127.0.0.1", 9000)))
        assert "9000" in (tmp_path / first_run.PID_FILE).read_text()


class TestSecrets:
    def test_they_are_for_their_owner_alone(self, tmp_path: Path):
        first_run.make_secrets(tmp_path)
        assert mode(tmp_path / "secrets") == 0o700
        assert mode(tmp_path / "secrets" / "django.key") == 0o600
        assert mode(tmp_path / "secrets" / "sealing.keys") == 0o600

    def test_a_loose_directory_is_closed(self, tmp_path: Path):
        (tmp_path / "secrets").mkdir(mode=0o755)
        first_run.make_secrets(tmp_path)
        assert mode(tmp_path / "secrets") == 0o700

    def test_they_are_never_overwritten(self, tmp_path: Path):
        first_run.make_secrets(tmp_path)
        before = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
        first_run.make_secrets(tmp_path)
        assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == before

    def test_one_made_at_the_same_time_wins(self, tmp_path: Path, monkeypatch):
        first_run.make_secrets(tmp_path)
        key = tmp_path / "secrets" / "django.key"
        before = key.read_text()
        monkeypatch.setattr(Path, "exists", lambda path: False)  # it was not there when we looked
        first_run.make_secrets(tmp_path)
        assert key.read_text() == before
        assert sorted(path.name for path in key.parent.iterdir()) == ["django.key", "sealing.keys"]

    def test_each_installation_has_its_own(self, tmp_path: Path):
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            first_run.make_secrets(tmp_path / name)
        for name in ("django.key", "sealing.keys"):
            assert (tmp_path / "a/secrets" / name).read_text() != (tmp_path / "b/secrets" / name).read_text()

    def test_a_sealing_key_is_an_id_and_32_bytes(self):
        name, _, key = first_run.new_sealing_key().partition(":")
        assert len(bytes.fromhex(name)) == 4
        assert len(base64.b64decode(key, validate=True)) == 32

    def test_the_console_reads_what_was_made(self, tmp_path: Path, settings):
        first_run.make_secrets(tmp_path)
        path = tmp_path / "secrets" / "sealing.keys"
        settings.SEALING_KEYS, settings.SEALING_KEYS_FILE = "", path
        assert keyring.load().current.id == path.read_text().partition(":")[0]
