"""`sdm listen`: the agent in the foreground."""

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Callable
from logging.handlers import RotatingFileHandler

import click

from sdm.cli import agent
from sdm.cli.failure import Failed
from sdm.client.home import Home, UnusableHome
from sdm.exit_codes import ExitCode

_LOG_BYTES = 1 << 20


@click.command()
@click.option("-d", "--daemon", is_flag=True, help="In the background.")
@click.option("--log", "to_file", is_flag=True, help="Into agent.log, which is kept small.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON when it listens; the log is text.")
def listen(daemon: bool, to_file: bool, as_json: bool) -> ExitCode:
    """Run the agent that listens on the local ports.

    Other commands start it when they need it. A service account logs in by itself, with the token in
    SDM_SERVICE_TOKEN and the control plane in SDM_APP_DOMAIN.
    """
    home = agent.home()

    def tell() -> None:
        if as_json:
            click.echo(json.dumps({"event": "listening", "socket": str(home.socket)}))

    if daemon:
        agent.start(home)
        tell()
        return ExitCode.OK
    os.umask(0o077)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        handlers=[_log_file(home) if to_file else logging.StreamHandler()],
    )
    # Imported now: `sdm listen --help` needs none of it.
    from sdm.client.agent import AlreadyRunning, only_one  # noqa: PLC0415

    if os.environ.get("SDM_SERVICE_TOKEN") and not home.identity.exists():
        from sdm.cli.login import login  # noqa: PLC0415

        login.main(["--json"] if as_json else [], standalone_mode=False)
    try:
        with only_one(home):
            asyncio.run(_run(home, tell))
    except AlreadyRunning as error:
        raise Failed(str(error), ExitCode.ADDRESS) from None
    except UnusableHome as error:
        raise Failed(str(error), ExitCode.CONFIGURATION) from None
    return ExitCode.OK


def _log_file(home: Home) -> logging.Handler:
    """This one and the one before: a program that asks again and again fills neither disk nor patience."""
    return RotatingFileHandler(home.log, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")


async def _run(home: Home, listening: Callable[[], None]) -> None:
    from sdm.client.agent import Agent  # noqa: PLC0415
    from sdm.transport.relay.loop import Relay  # noqa: PLC0415

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    relay = Relay()
    relay.start()
    running = asyncio.create_task(Agent(home, relay).run(listening))
    running.add_done_callback(lambda _: stopped.set())
    await stopped.wait()
    running.cancel()
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await running
    finally:
        relay.stop()
