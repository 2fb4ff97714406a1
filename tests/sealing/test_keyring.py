import os
import threading
from pathlib import Path

import pytest

import sealing
from sealing import keyring
from sealing.checks import keys_can_be_used
from sealing.keyring import KeyringError

PLACE = "tests:row:field"


@pytest.fixture
def file(settings, tmp_path: Path) -> Path:
    """A file with one key, which is where the keys are."""
    path = tmp_path / "sealing.keys"
    path.write_text(keyring.new_line() + "\n")
    path.chmod(0o600)
    settings.SEALING_KEYS = ""
    settings.SEALING_KEYS_FILE = path
    return path


def test_the_first_key_seals_and_all_open(file: Path):
    old = sealing.seal(b"old", context=PLACE)
    key = keyring.add_key()
    new = sealing.seal(b"new", context=PLACE)
    assert sealing.key_id(new) == key.id != sealing.key_id(old)
    assert sealing.unseal(old, context=PLACE) == b"old"
    assert sealing.unseal(new, context=PLACE) == b"new"


def test_a_file_that_another_process_replaced_is_read_again(file: Path):
    sealing.seal(b"x", context=PLACE)
    file.write_text("0000abcd:" + "A" * 43 + "=\n" + file.read_text())
    assert sealing.key_id(sealing.seal(b"x", context=PLACE)) == "0000abcd"


def test_the_file_keeps_its_mode_and_its_older_keys(file: Path):
    before = file.read_text()
    keyring.add_key()
    assert file.read_text().endswith(before)
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(file.parent) == [file.name]


def test_the_file_stays_behind_its_link(file: Path, settings):
    link = file.with_name("link")
    link.symlink_to(file)
    settings.SEALING_KEYS_FILE = link
    keyring.add_key()
    assert link.is_symlink()
    assert len(file.read_text().split()) == 2


def test_keys_made_at_once_are_all_kept(file: Path):
    threads = [threading.Thread(target=keyring.add_key) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keyring.load().keys) == 9


def test_the_current_key_is_never_removed(file: Path):
    with pytest.raises(KeyringError, match="never removed"):
        keyring.remove_keys({keyring.load().current.id})


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o666, 0o601])
def test_a_file_that_others_can_read_is_refused_with_the_command_that_helps(file: Path, mode: int):
    file.chmod(mode)
    with pytest.raises(KeyringError, match=f"chmod 600 {file}"):
        keyring.load()


def test_a_file_that_only_its_group_can_read_is_how_kubernetes_mounts_it(file: Path):
    file.chmod(0o440)
    assert keyring.load().current.id


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no key"),
        ("no-colon", "write <id>:<base64>"),
        ("UPPER:" + "A" * 43 + "=", "write <id>:<base64>"),
        ("ok:not-base64", "may be cut off"),
        ("ok:AAAA", "may be cut off"),
        ("ok:\xe9", "may be cut off"),
        ("a:" + "A" * 43 + "=\na:" + "B" * 43 + "=", "there twice"),
    ],
)
def test_a_wrong_file_is_explained_without_showing_it(file: Path, text: str, message: str):
    file.write_text(text)
    with pytest.raises(KeyringError, match=message) as caught:
        keyring.load()
    assert "AAAA" not in str(caught.value)


def test_a_missing_file_is_explained(file: Path):
    file.unlink()
    with pytest.raises(KeyringError, match="restore it from its backup"):
        keyring.load()


def test_a_check_reports_keys_that_cannot_be_used(file: Path):
    assert keys_can_be_used() == []
    file.unlink()
    assert [error.id for error in keys_can_be_used()] == ["sealing.E001"]


def test_keys_in_the_environment_stand_on_lines_or_between_spaces_or_commas(settings):
    for separator in ("\n", " ", ","):
        settings.SEALING_KEYS = separator.join(("b:" + "B" * 43 + "=", "a:" + "A" * 43 + "="))
        assert list(keyring.load().keys) == ["b", "a"]


def test_a_folder_that_cannot_be_written_changes_nothing(file: Path, monkeypatch):
    before = file.read_text()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyringError, match="No space left on device"):
        keyring.add_key()
    assert file.read_text() == before
    assert os.listdir(file.parent) == [file.name]
