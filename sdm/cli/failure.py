"""How a command ends that could not do what it was told."""

import click

from sdm.exit_codes import ExitCode


class Failed(click.ClickException):
    """With a message on standard error, and a code of ours."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code
