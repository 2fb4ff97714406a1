"""`sdm login` and `sdm logout`."""

import asyncio
import json
import os
import webbrowser
from collections.abc import Callable

import click

from sdm.cli import agent, moments
from sdm.cli.failure import Failed
from sdm.client import control, identity
from sdm.client.control import NoAgent
from sdm.client.home import Home, UnusableHome
from sdm.client.identity import Identity
from sdm.control_plane import where
from sdm.control_plane.where import ControlPlane
from sdm.exit_codes import ExitCode


@click.command()
@click.option("--app-domain", metavar="HOST:PORT", help="The control plane; SDM_APP_DOMAIN if not given.")
@click.option("--no-browser", is_flag=True, help="Print the address, to be opened anywhere.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for the code, and one for the outcome.")
def login(app_domain: str | None, no_browser: bool, as_json: bool) -> ExitCode:
    """Log in, so that this machine may connect for you.

    A browser shows a code: compare it with the one here, and approve. Service accounts log in without one, with the
    token in SDM_SERVICE_TOKEN.
    """
    home = agent.home()
    control_plane = _control_plane(home, app_domain)

    def show(code: str, url: str) -> None:
        if as_json:
            click.echo(json.dumps({"event": "code", "code": code, "url": url}))
        else:
            click.echo(f"Open {url}\nApprove if it shows this code:\n\n    {code}\n")
        if not no_browser and not as_json:
            webbrowser.open(url)

    me = _login(control_plane, show)
    try:
        identity.save(home, me)
    except UnusableHome as error:
        raise Failed(str(error), ExitCode.CONFIGURATION) from None
    _tell(home, "reload")
    if as_json:
        account = {"id": me.person.account_id, "email": me.person.email, "name": me.person.name}
        click.echo(json.dumps({"event": "logged_in", "account": account, "until": me.ends_at.isoformat()}))
    else:
        click.echo(f"Logged in as {me.person}, until {moments.shown(me.ends_at)}.")
    return ExitCode.OK


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON.")
def logout(as_json: bool) -> ExitCode:
    """Log out: connections end, and this machine's certificate is revoked."""
    home = agent.home()
    problem = ""
    if home.identity.exists():
        me = identity.load(home)
        problem = str(agent.ask(home, {"verb": "logout"}).get("problem", ""))
        identity.forget(home)
        if problem:
            problem = _still_listed(me, problem)
    if as_json:
        click.echo(json.dumps({"logged_out": True, "problem": problem}))
    else:
        click.echo("Logged out.")
        if problem:
            click.echo(problem, err=True)
    return ExitCode.OK


def _still_listed(me: Identity | None, why: str) -> str:
    until = f", {moments.shown(me.ends_at)}" if me else ""
    return (
        f"The console could not be told: {why} It lists this machine until the login ends{until}, or is ended there. "
        "The certificate here is removed."
    )


def _login(control_plane: ControlPlane, show: Callable[[str, str], None]) -> Identity:
    # Imported now: `sdm login --help` needs none of it.
    from sdm.client import login as login_module  # noqa: PLC0415
    from sdm.control_plane.refusals import ControlError  # noqa: PLC0415

    token = os.environ.get("SDM_SERVICE_TOKEN", "").strip()
    way = (
        login_module.with_token(control_plane, token)
        if token
        else login_module.with_browser(control_plane, show)
    )
    try:
        return asyncio.run(way)
    except login_module.LoginFailed as error:
        raise Failed(str(error), ExitCode.REFUSED) from None
    except ControlError as error:
        code = ExitCode.UNAVAILABLE if error.reason.may_retry else ExitCode.REFUSED
        raise Failed(str(error), code, str(error.reason)) from None


def _control_plane(home: Home, given: str | None) -> ControlPlane:
    text = given or os.environ.get("SDM_APP_DOMAIN", "").strip()
    before = identity.load(home)
    if not text and before is not None:
        return before.control_plane
    if not text:
        raise Failed(
            "Say where the control plane is: sdm login --app-domain console.example.com, or set SDM_APP_DOMAIN.",
            ExitCode.CONFIGURATION,
        )
    try:
        pins = where.parse_pins(os.environ.get("SDM_APP_CA_PIN", ""))
    except ValueError as error:
        raise Failed(f"SDM_APP_CA_PIN: {error}", ExitCode.CONFIGURATION) from None
    try:
        return where.parse(text, pins)
    except ValueError as error:
        raise Failed(f"{text!r}: {error}", ExitCode.CONFIGURATION) from None


def _tell(home: Home, verb: str) -> None:
    """To the agent, if it runs; if not, it reads all when it starts."""
    try:
        control.ask(home.socket, {"verb": verb})
    except NoAgent:
        return
