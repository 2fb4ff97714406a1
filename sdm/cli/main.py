"""The `sdm` command: a group whose commands are imported when they are called, so that `--help` is quick."""

import importlib
import sys

import click

from sdm.cli import failure
from sdm.exit_codes import ExitCode
from sdm.version import VERSION

# Name: where it is, and what `sdm --help` says of it.
COMMANDS = {
    "connect": ("sdm.cli.connections:connect", "Make resources answer on local ports."),
    "disconnect": ("sdm.cli.connections:disconnect", "Close the local ports of resources."),
    "install": ("sdm.cli.install:install", "Run a proxy worker as a service of this machine."),
    "listen": ("sdm.cli.listen:listen", "Run the agent in the foreground."),
    "login": ("sdm.cli.login:login", "Log in, with a browser or as a service."),
    "logout": ("sdm.cli.login:logout", "Log out, and end what is connected."),
    "proxy": ("sdm.cli.proxy:proxy", "Run a proxy worker on this machine."),
    "ready": ("sdm.cli.connections:ready", "Whether connections can be made."),
    "status": ("sdm.cli.connections:status", "What you can reach, and where it is connected."),
}


class LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{name} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="sdm %(version)s")
def sdm() -> None:
    """Proxy clusters: connect through them, and run their workers."""


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """What `sdm` ends with."""
    try:
        code = sdm.main(arguments, prog_name="sdm", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        # Looked for here and not in each command: a wrong command line is told to a script as well.
        return failure.show(error, as_json="--json" in arguments)
    except click.Abort:
        return ExitCode.FAILURE
    return code if isinstance(code, int) else ExitCode.OK
