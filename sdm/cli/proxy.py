"""`sdm proxy` and `sdm proxy --check`."""

import os

import click

from sdm.exit_codes import ExitCode


@click.command()
@click.option(
    "-d", "--daemon", is_flag=True, help="Accepted and not needed: a worker stays in the foreground."
)
@click.option(
    "--check", "only_check", is_flag=True, help="Look whether a worker could run here, and start none."
)
@click.option("--json", "as_json", is_flag=True, help="With --check: the findings as JSON.")
def proxy(daemon: bool, only_check: bool, as_json: bool) -> ExitCode:
    """Run a proxy worker on this machine.

    Its settings are environment variables that begin with SDM_; the two keys of its cluster and SDM_APP_DOMAIN are
    enough. It ends on SIGTERM, with time for its connections, and says why when it ends by itself.
    """
    if as_json and not only_check:
        raise click.UsageError("--json goes with --check.")
    # Imported now: `sdm proxy --help` needs none of it.
    if not only_check:
        from sdm.worker import run  # noqa: PLC0415

        return run.run(os.environ)
    from sdm.worker import check  # noqa: PLC0415

    findings = check.check(os.environ)
    click.echo(check.as_json(findings) if as_json else check.as_text(findings))
    return check.exit_code(findings)
