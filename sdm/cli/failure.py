"""How a command ends that could not do what it was told."""

import json

import click

from sdm.exit_codes import ExitCode


class Failed(click.ClickException):
    """With a message for people, a code of ours, and a word for scripts, which is the code's if no other is given."""

    def __init__(self, message: str, code: ExitCode, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason or word(code)


def word(code: ExitCode) -> str:
    return code.name.lower().replace("_", "-")


def show(error: click.ClickException, *, as_json: bool) -> ExitCode:
    """Tell whoever called; the code to end with."""
    code = error.code if isinstance(error, Failed) else ExitCode.USAGE
    reason = error.reason if isinstance(error, Failed) else word(code)
    if as_json:
        click.echo(json.dumps({"error": error.format_message(), "code": int(code), "reason": reason}))
    elif isinstance(error, Failed):
        click.echo(error.message, err=True)
    else:
        error.show()
    return code
