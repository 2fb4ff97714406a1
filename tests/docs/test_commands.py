"""Every command of ours in the documentation is one that exists, with the options it takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Context
from django.core.management import BaseCommand, get_commands, load_command_class

from sdm.cli import main
from tests.docs.pages import PAGES, blocks, code_spans, name_of, prose
from tests.house.checkout import dev_module

_DEV = re.compile(r"\./dev (\w+)")
_SDM = re.compile(r"(?:^|sudo |-m )sdm (\w+)((?: --?[a-z-]+)*)", re.MULTILINE)
_MANAGE = re.compile(r"manage\.py (\w+)((?: (?:-v\d|[^\s;|&`]+))*)")


def _texts(page: Path) -> list[str]:
    shown = [text for language, text in blocks(page) if language in ("sh", "text")]
    return [*shown, *code_spans(prose(page))]


def _manage_commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    for text in _texts(page):
        for found in _MANAGE.finditer(text):
            yield found[1], _options(found[2])


def _options(arguments: str) -> list[str]:
    words = shlex.split(arguments.partition('"')[0])
    return [word for word in words if word.startswith("-")]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_of_dev_exist(page: Path):
    commands = dev_module().COMMANDS
    named = {name for text in _texts(page) for name in _DEV.findall(text)}
    assert named <= set(commands)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_of_manage_py_exist_with_their_options(page: Path):
    for name, options in _manage_commands(page):
        assert name in get_commands(), name
        app = get_commands()[name]
        command = app if isinstance(app, BaseCommand) else load_command_class(app, name)
        known = command.create_parser("manage.py", name)._option_string_actions
        for option in options:
            assert option in known or re.fullmatch(r"-v\d", option), f"{name} takes no {option}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_of_sdm_exist_with_their_options(page: Path):
    for name, options in _sdm_commands(page):
        command = main.sdm.get_command(Context(main.sdm), name)
        assert command, f"sdm {name}"
        known = {word for parameter in command.params for word in parameter.opts}
        assert set(options) <= known, name


def _sdm_commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    for text in _texts(page):
        for found in _SDM.finditer(text):
            yield found[1], found[2].split()


def test_these_tests_see_the_commands():
    assert ("install", ["--worker"]) in [found for page in PAGES for found in _sdm_commands(page)]
    named = {name for page in PAGES for name, _ in _manage_commands(page)}
    assert {"rotate_secrets", "account_recover", "check"} <= named
    options = {option for page in PAGES for _, options in _manage_commands(page) for option in options}
    assert {"--dry-run", "--prune", "--print-key", "--deploy", "--remove-second-factor"} <= options
