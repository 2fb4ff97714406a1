import io
import os
import time

import pytest
from django.core.management import CommandError, call_command

import sealing
from audit.models import Activity
from resources.models import Credential
from sealing import keyring, rotation
from tests.resources.factories import make_resource, store_secret, stored_secret


@pytest.fixture
def file(settings, tmp_path):
    path = tmp_path / "sealing.keys"
    path.write_text(keyring.new_line() + "\n")
    path.chmod(0o600)
    settings.SEALING_KEYS = ""
    settings.SEALING_KEYS_FILE = path
    return path


@pytest.fixture
def stored(alice, file):
    resources = [make_resource(alice) for _ in range(7)]
    for number, resource in enumerate(resources):
        store_secret(resource, f"secret-{number}")
    return resources


def rotate(*options):
    out = io.StringIO()
    call_command("rotate_secrets", *options, stdout=out, stderr=out)
    return out.getvalue()


def current():
    return keyring.load().current.id


def verbs():
    return list(Activity.objects.order_by("id").values_list("verb", flat=True))


def test_everything_is_sealed_again_with_a_new_key(stored):
    old = current()
    said = rotate()
    assert current() != old
    assert set(Credential.objects.values_list("key_id", flat=True)) == {current()}
    for number, resource in enumerate(stored):
        assert stored_secret(resource) == f"secret-{number}"
    assert "resource credentials: 7 sealed again" in said
    assert old in said and "--prune" in said
    assert "secret-0" not in said
    assert verbs() == ["sealing key created", "secrets resealed"]


def test_more_than_a_batch(stored, monkeypatch):
    monkeypatch.setattr(rotation, "BATCH", 2)
    said = rotate()
    assert [f"resource credentials: {count} sealed again" in said for count in (2, 4, 6, 7)] == [True] * 4
    assert rotation.outstanding() == 0


def test_a_dry_run_changes_nothing(stored, file):
    before = (file.read_text(), list(Credential.objects.values()))
    assert "Would seal again: 7 resource credentials" in rotate("--dry-run")
    assert (file.read_text(), list(Credential.objects.values())) == before
    assert verbs() == []


def test_ended_half_way_it_goes_on_with_the_same_key(stored, monkeypatch):
    left = iter(range(3))
    seal = sealing.seal

    def power_cut(*args, **kwargs):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return seal(*args, **kwargs)

    monkeypatch.setattr(sealing, "seal", power_cut)
    with pytest.raises(KeyboardInterrupt):
        rotate()
    monkeypatch.undo()
    new = current()
    assert rotation.outstanding() == 4
    said = rotate()
    assert "4 values are sealed with older keys" in said
    assert current() == new, "no second key was made"
    assert rotation.outstanding() == 0
    assert [stored_secret(resource) for resource in stored] == [f"secret-{number}" for number in range(7)]


def test_what_is_written_meanwhile_is_kept(stored, monkeypatch):
    unseal = sealing.unseal

    def replaced_in_between(sealed, *, context):
        if context == stored[0].credentials.get().context:
            stored[0].credentials.all().delete()
            store_secret(stored[0], "newer")
        return unseal(sealed, context=context)

    monkeypatch.setattr(sealing, "unseal", replaced_in_between)
    rotate()
    monkeypatch.undo()
    assert stored_secret(stored[0]) == "newer"


def test_a_value_that_does_not_open_is_named_and_left(stored):
    moved = stored[1].credentials.get()
    Credential.objects.filter(pk=moved.pk).update(sealed=stored[0].credentials.get().sealed)
    with pytest.raises(CommandError, match="1 values were left"):
        rotate()
    assert rotation.outstanding() == 1
    assert stored_secret(stored[2]) == "secret-2"
    old = current()
    with pytest.raises(CommandError, match="left as they are"):
        rotate("--new-key")
    assert current() != old, "one broken value does not keep others from a new key"


def test_only_keys_that_seal_nothing_are_removed_and_not_at_once(stored, file):
    first = current()
    assert "no key that could go" in rotate("--prune")
    rotate()
    with pytest.raises(CommandError, match="less than ten minutes ago"):
        rotate("--prune")
    long_ago = time.time() - 3600
    os.utime(file, (long_ago, long_ago))
    assert first in rotate("--prune")
    assert list(keyring.load().keys) == [current()]
    assert stored_secret(stored[0]) == "secret-0"
    assert verbs()[-1] == "sealing keys removed"


def test_a_key_that_still_seals_is_not_removed(stored, file):
    keyring.add_key()
    long_ago = time.time() - 3600
    os.utime(file, (long_ago, long_ago))
    assert "no key that could go" in rotate("--prune")


def test_with_keys_in_the_environment_it_says_what_to_do_by_hand(alice, settings):
    store_secret(make_resource(alice), "secret")
    said = rotate()
    assert "CONSOLE_SEALING_KEYS, which this command cannot change" in said
    line = rotate("--print-key").strip()
    settings.SEALING_KEYS = f"{line} {settings.SEALING_KEYS}"
    said = rotate()
    assert "1 sealed again" in said and "Nothing is sealed any more with test. Take them out" in said
    assert "Take them out" in rotate("--prune")
    assert "test" in settings.SEALING_KEYS


def test_a_file_that_cannot_be_written_is_one_sentence(stored, file):
    file.chmod(0o644)
    with pytest.raises(CommandError, match="chmod 600"):
        rotate()
