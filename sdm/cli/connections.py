"""`sdm status`, `connect`, `disconnect` and `ready`."""

import datetime as dt
import json
import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import click

from sdm.cli import agent, filters, moments
from sdm.cli.failure import Failed
from sdm.cli.filters import WrongFilter
from sdm.client import control
from sdm.client.control import NoAgent
from sdm.exit_codes import ExitCode

Resource = dict[str, Any]

_HEADINGS = {"datasource": "DATASOURCE", "server": "SERVER", "website": "WEBSITE"}
_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.command()
@_json_option
@click.option(
    "--watch", is_flag=True, help="Again after each change, until Ctrl-C; with --json a line for each."
)
@click.option(
    "--filter",
    "text",
    metavar="TEXT",
    default="",
    help="As in the console's search: type:postgres tags:Team=blue.",
)
def status(as_json: bool, watch: bool, text: str) -> ExitCode:
    """What you can reach, and where it is connected."""
    home = agent.home()
    try:
        wanted = filters.parse(text)
    except WrongFilter as error:
        raise click.UsageError(str(error)) from None
    request = {"verb": "status", "watch": watch}
    answers = agent.follow(home, request) if watch else iter([agent.ask(home, request)])
    before = ""
    for answer in answers:
        if not answer["signed_in"]:
            raise agent.not_logged_in()
        everything = answer["resources"]
        answer["resources"] = [each for each in everything if wanted(each)]
        shown = json.dumps(answer) if as_json else "\n".join(_table(answer, len(everything)))
        # What changed may be nothing that is shown.
        if shown != before:
            click.echo(shown)
        before = shown
    return ExitCode.OK


@click.command()
@click.argument("names", nargs=-1)
@click.option("-a", "--all", "everything", is_flag=True, help="All that you can reach.")
@_json_option
def connect(names: tuple[str, ...], everything: bool, as_json: bool) -> ExitCode:
    """Make resources answer on local ports, by NAME or a part of it that is in no other name."""
    return _switch("connect", names, everything=everything, as_json=as_json)


@click.command()
@click.argument("names", nargs=-1)
@click.option("-a", "--all", "everything", is_flag=True, help="All that are connected.")
@_json_option
def disconnect(names: tuple[str, ...], everything: bool, as_json: bool) -> ExitCode:
    """Close the local ports of resources; what goes through them ends."""
    return _switch("disconnect", names, everything=everything, as_json=as_json)


@click.command()
@click.option("--json", is_flag=True, expose_value=False, help="Accepted and not needed: it is JSON anyway.")
def ready() -> ExitCode:
    """Whether connections can be made, as JSON and as the exit code: 0 when they can."""
    told: dict[str, Any] = {
        "is_linked": False,
        "listener_running": False,
        "account": None,
        "problem": "",
    }
    code = ExitCode.OK
    try:
        _look_whether_ready(told)
    except Failed as failed:
        code, told["problem"] = failed.code, failed.message
    click.echo(json.dumps(told))
    return code


def _look_whether_ready(told: dict[str, Any]) -> None:
    """Failed when no connections can be made; what is known by then is told."""
    home = agent.home()
    try:
        answer = control.ask(home.socket, {"verb": "status"})
    except NoAgent:
        if not agent.signed_in(home):
            raise agent.not_logged_in() from None
        problem = "The agent does not run. sdm connect, or sdm listen, starts it."
        raise Failed(problem, ExitCode.UNAVAILABLE) from None
    told |= {"listener_running": True, "account": answer["account"]}
    if not answer["signed_in"]:
        raise agent.not_logged_in()
    if answer["problem"]:
        raise Failed(str(answer["problem"]), ExitCode.UNAVAILABLE)
    told["is_linked"] = True


def _switch(verb: str, names: Sequence[str], *, everything: bool, as_json: bool) -> ExitCode:
    if bool(names) == everything:
        raise click.UsageError(f"Give names, or --all: sdm {verb} orders-db")
    answer = agent.ask(agent.home(), {"verb": verb, "names": list(names), "all": everything})
    resources: list[Resource] = answer["resources"]
    if as_json:
        click.echo(json.dumps(resources))
    else:
        for line in _outcome(verb, resources):
            click.echo(line)
    failed = verb == "connect" and any(
        each["problem"] and each["status"] != "connected" for each in resources
    )
    return ExitCode.ADDRESS if failed else ExitCode.OK


def _outcome(verb: str, resources: Sequence[Resource]) -> Iterator[str]:
    if not resources:
        yield "no resources matched"
    for each in resources:
        if verb == "connect":
            yield from _connected(each)
        else:
            yield f"{each['name']}: {'already disconnected' if each['already'] else 'disconnect successful'}"


def _connected(resource: Resource) -> Iterator[str]:
    """What is wrong comes first: whoever reads that it was successful reads no further."""
    name, address, problem = resource["name"], resource["address"], resource["problem"]
    if resource["status"] != "connected":
        yield f"{name}: not connected. {problem}"
    elif not resource.get("works", True):  # an agent that is older than this command does not say
        yield f"{name}: not reachable. {problem}"
        yield f"    {address} is open, and works as soon as this is mended."
    else:
        yield f"{name}: {'already connected' if resource['already'] else 'connect successful'}, {address}"
        # An agent that is older than this command gives no URL.
        beneath = resource.get("url"), command(resource), _note(resource)
        yield from (f"    {line}" for line in beneath if line)


def command(resource: Resource) -> str:
    """How one would begin to work with it, ready to be copied; empty where we know of nothing."""
    host, _, port = str(resource["address"]).rpartition(":")
    kind = resource["type"]
    if kind == "postgres":
        return f"psql -h {host} -p {port} {shlex.quote(resource['database'] or 'postgres')}"
    if kind.startswith("http"):
        url = f"http://{host}:{port}{resource['path'] or '/'}"
        return f"curl {shlex.quote(url)}"
    return f"nc {host} {port}" if kind == "rawTCP" else ""


# --- For people ---


def _table(answer: dict[str, Any], total: int) -> Iterator[str]:
    yield from _head(answer, total)
    resources: list[Resource] = answer["resources"]
    for category, some in groupby(resources, key=lambda each: str(each["category"])):
        heading = _HEADINGS.get(category, category.upper())
        rows = list(some)
        lines = _aligned([(heading, "STATUS", "ADDRESS", "TYPE", "TAGS"), *map(_row, rows)])
        yield ""
        yield next(lines)
        for resource, line in zip(rows, lines, strict=True):
            yield line
            if resource["status"] == "connected" and (url := resource.get("url")):
                yield f"    {url}"
            # What is wrong with all of them stands above.
            if (note := _note(resource)) and note != answer["problem"]:
                yield f"    {note}"
    if len(resources) < total:
        yield ""
        yield f"{len(resources)} of {total} match the filter."


def _head(answer: dict[str, Any], total: int) -> Iterator[str]:
    account, problem = answer["account"], answer["problem"]
    yield f"Logged in as {account['email'] or account['name']} at {answer['control_plane']}."
    if problem:
        yield problem
    for each in answer.get("lost", ()):  # an agent that is older than this command tells of none
        yield f"{each['name']}: {each['problem']}"
    if not total and not problem:
        yield "There is nothing that you have access to. An administrator can change that."


def _row(resource: Resource) -> tuple[str, ...]:
    tags = ",".join(f"{key}={value}" if value else key for key, value in sorted(resource["tags"].items()))
    extra = [tags] if tags else []
    if resource["until"]:
        extra.append(f"until {moments.shown(dt.datetime.fromisoformat(resource['until']))}")
    return resource["name"], resource["status"], resource["address"], resource["type"], " ".join(extra)


def _note(resource: Resource) -> str:
    """What is wrong with it, on a line of its own."""
    if resource["problem"]:
        return str(resource["problem"])
    if resource["healthy"] is not False:
        return ""
    # An agent that is older than this command does not say what was found.
    found = resource.get("health_problem")
    return f"At the last check: {found}" if found else "A worker did not reach it at the last check."


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
