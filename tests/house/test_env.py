from pathlib import Path

import pytest

from console import env


def test_an_empty_variable_counts_as_none(monkeypatch):
    monkeypatch.setenv("CONSOLE_X", "")
    assert env.text("CONSOLE_X", "default") == "default"


def test_a_whole_number_is_read(monkeypatch):
    monkeypatch.setenv("CONSOLE_X", "7")
    assert env.integer("CONSOLE_X", 1, low=0, high=10) == 7


@pytest.mark.parametrize("value", ["11", "-1", "seven", "1.5", "٧", " 7"])
def test_a_number_out_of_bounds_is_refused_by_name_value_and_bounds(monkeypatch, value):
    monkeypatch.setenv("CONSOLE_X", value)
    with pytest.raises(env.SettingError) as raised:
        env.integer("CONSOLE_X", 1, low=0, high=10)
    assert str(raised.value) == f"CONSOLE_X={value!r}: give a whole number from 0 to 10."


def test_the_first_choice_is_the_default():
    assert env.choice("CONSOLE_X", ("text", "json")) == "text"


def test_an_unknown_choice_is_refused_with_those_there_are(monkeypatch):
    monkeypatch.setenv("CONSOLE_X", "xml")
    with pytest.raises(env.SettingError, match="one of text, json"):
        env.choice("CONSOLE_X", ("text", "json"))


@pytest.mark.parametrize(
    "value", ["https://console.example.com", "http://10.0.0.1:8000", "https://[::1]:8443"]
)
def test_an_origin_is_a_scheme_and_a_host(monkeypatch, value):
    monkeypatch.setenv("CONSOLE_X", value + "/")
    assert env.origin("CONSOLE_X", "") == value


@pytest.mark.parametrize(
    "value", ["console.example.com", "ftp://a", "https://", "https://a/b", "https://a?b"]
)
def test_anything_else_is_no_origin(monkeypatch, value):
    monkeypatch.setenv("CONSOLE_X", value)
    with pytest.raises(env.SettingError, match="such as https"):
        env.origin("CONSOLE_X", "")


def test_a_secret_comes_from_the_variable_then_the_named_file_then_the_default(monkeypatch, tmp_path: Path):
    for name in ("named", "default"):
        (tmp_path / name).write_text(f"from {name}\n")
    assert env.secret("CONSOLE_X", tmp_path / "default") == "from default"
    monkeypatch.setenv("CONSOLE_X_FILE", str(tmp_path / "named"))
    assert env.secret("CONSOLE_X", tmp_path / "default") == "from named"
    monkeypatch.setenv("CONSOLE_X", "from the variable")
    assert env.secret("CONSOLE_X", tmp_path / "default") == "from the variable"


def test_a_secret_whose_file_is_missing_says_which(tmp_path: Path):
    with pytest.raises(env.SettingError, match="nowhere: No such file"):
        env.secret("CONSOLE_X", tmp_path / "nowhere")
