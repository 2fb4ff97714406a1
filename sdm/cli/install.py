"""`sdm install --worker`: a worker as the systemd service sdm-worker."""

import difflib
import json
import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path

import click

from sdm.cli import service
from sdm.cli.machine import Machine
from sdm.contract.keys import MalformedKey, SecretKey
from sdm.exit_codes import ExitCode
from sdm.worker import config
from sdm.worker.config import ConfigError

COMMANDS = (
    ("systemctl", "daemon-reload"),
    ("systemctl", "enable", service.SERVICE),
    # Not `start`: one that runs already shall have the new settings.
    ("systemctl", "restart", service.SERVICE),
)
# ProtectHome= and PrivateTmp= hide these from the service.
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  # compared with, not written to


@dataclass(frozen=True, slots=True)
class File:
    path: str
    mode: int
    text: str
    # The same without the secret key, to be shown.
    shown: str


@click.command()
@click.option("--worker", is_flag=True, help="A proxy worker: what there is to install.")
@click.option(
    "--worker-bind-addr", metavar="ADDRESS", help="Where to listen for clients; :8443 if not given."
)
@click.option("--app-domain", metavar="HOST:PORT", help="The control plane.")
@click.option("--dry-run", is_flag=True, help="Print the files and the commands, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Say what was done as JSON.")
@click.pass_context
def install(
    context: click.Context,
    worker: bool,
    worker_bind_addr: str | None,
    app_domain: str | None,
    dry_run: bool,
    as_json: bool,
) -> ExitCode:
    """Run a proxy worker on this machine as the systemd service sdm-worker.

    Asks for the two keys of the cluster and for the control plane, unless the environment has them in
    SDM_PROXY_CLUSTER_ACCESS_KEY, SDM_PROXY_CLUSTER_SECRET_KEY (or in files, with _FILE behind the name) and
    SDM_APP_DOMAIN. Other settings of a worker are taken from the environment as well. Needs root.
    """
    if not worker:
        raise click.UsageError("Say what to install: sdm install --worker.")
    machine = context.obj if isinstance(context.obj, Machine) else Machine()
    obstacles = [*_person(machine), *_system(machine), *_program(machine)]
    if obstacles and not dry_run:
        return _refuse(obstacles, ExitCode.FAILURE)
    given = {"SDM_BIND_ADDRESS": worker_bind_addr, "SDM_APP_DOMAIN": app_domain}
    environ = {**machine.environ, **{name: value for name, value in given.items() if value}}
    try:
        files = _files(machine, _completed(machine, environ))
    except ConfigError as error:
        return _refuse(error.problems, ExitCode.CONFIGURATION)
    warnings = config.warnings(environ)
    for warning in warnings:
        click.echo(f"sdm: Note: {warning}", err=True)
    if dry_run:
        click.echo(_plan_json(files, obstacles, warnings) if as_json else _plan(files, obstacles))
        return ExitCode.FAILURE if obstacles else ExitCode.OK
    return _apply(machine, files, warnings, as_json=as_json)


def _refuse(problems: list[str], code: ExitCode) -> ExitCode:
    for problem in problems:
        click.echo(f"sdm: {problem}", err=True)
    return code


# --- What could keep it from working ----------------------------------------------------------


def _person(machine: Machine) -> list[str]:
    if machine.uid != 0:
        return ["Only root can install a service. Try again with sudo."]
    name = machine.environ.get("SUDO_USER") or "root"
    known = {line.partition(":")[0] for line in (machine.read("/etc/passwd") or "").splitlines()}
    if name in known:
        return []
    return [
        f"The user {name!r} is not in /etc/passwd. Somebody who signs in through LDAP or single sign-on cannot "
        "install a worker: do it as a user of this machine."
    ]


def _system(machine: Machine) -> list[str]:
    if machine.at("/run/systemd/system").is_dir():  # sd_booted(3)
        return []
    return ["systemd does not run this machine. Let your own service manager run `sdm proxy`."]


def _program(machine: Machine) -> list[str]:
    """The service runs as a user of its own, which has to reach interpreter and package."""
    needed = {machine.python, machine.python.resolve(), machine.package}
    return [
        f"The service could not read {path}. Install sdm where everybody may, as in /opt/sdm."
        for path in sorted(needed)
        if any(path.is_relative_to(hidden) for hidden in _HIDDEN) or not _reachable(path)
    ]


def _reachable(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents) and os.path.exists(path)


# --- What to write ----------------------------------------------------------------------------


def _completed(machine: Machine, environ: dict[str, str]) -> dict[str, str]:
    """Asks for what is missing, where there is somebody to ask."""
    if not machine.can_ask():
        return environ
    access, secret = config.SECRETS
    if not environ.get(access) and not environ.get(f"{access}_FILE"):
        environ[access] = machine.ask("Access key")
    if not environ.get(secret) and not environ.get(f"{secret}_FILE"):
        environ[secret] = _ask_secret(machine)
    if not environ.get("SDM_APP_DOMAIN"):
        environ["SDM_APP_DOMAIN"] = machine.ask("Control plane (host:port)")
    return environ


def _ask_secret(machine: Machine) -> str:
    """Typed blindly, so it is looked at before the next question."""
    while True:
        try:
            return SecretKey.parse(machine.ask("Secret key (not shown)", hidden=True)).reveal()
        except MalformedKey as error:
            click.echo(f"sdm: {error}", err=True)


def _files(machine: Machine, environ: dict[str, str]) -> list[File]:
    if names := service.unprintable(environ):
        raise ConfigError([f"{name} holds a character that a line of text cannot." for name in names])
    settings = config.load(environ)
    unit = service.unit(settings, python=machine.python, package=machine.package)
    return [
        File(
            service.SETTINGS_FILE,
            0o600,
            service.settings_file(settings, environ),
            service.settings_file(settings, environ, masked=True),
        ),
        File(service.UNIT_FILE, 0o644, unit, unit),
    ]


def _plan(files: list[File], obstacles: list[str]) -> str:
    shown = [f"Would be refused: {obstacle}\n" for obstacle in obstacles]
    shown += [f"# {file.path}, mode {file.mode:o}\n{file.shown}" for file in files]
    return "\n".join([*shown, "\n".join(map(shlex.join, COMMANDS))])


def _plan_json(files: list[File], obstacles: list[str], warnings: list[str]) -> str:
    shown = [{"path": file.path, "mode": f"{file.mode:o}", "text": file.shown} for file in files]
    commands = [list(command) for command in COMMANDS]
    plan = {"files": shown, "commands": commands, "obstacles": obstacles, "warnings": warnings}
    return json.dumps(plan, indent=2)


# --- Doing it ---------------------------------------------------------------------------------


def _apply(machine: Machine, files: list[File], warnings: list[str], *, as_json: bool) -> ExitCode:
    written = []
    try:
        for file in files:
            if machine.read(file.path) != file.text:
                _replace(machine, file)
                written.append(file.path)
    except OSError as error:
        return _refuse([f"{error.filename}: {error.strerror}."], ExitCode.FAILURE)
    for command in COMMANDS:
        if code := machine.call(command):
            words = f"`{shlex.join(command)}` ended with {code}. The files are written; what it said stands above."
            return _refuse([words], ExitCode.FAILURE)
    if as_json:
        click.echo(
            json.dumps({"service": service.SERVICE, "written": written, "warnings": warnings}, indent=2)
        )
    else:
        click.echo(f"The service {service.SERVICE} is started, and starts with the machine.")
        click.echo(f"How it joins its cluster: journalctl --unit {service.SERVICE} --follow")
    return ExitCode.OK


def _replace(machine: Machine, file: File) -> None:
    """What was there is shown and kept: it may hold what somebody wrote by hand."""
    before = machine.read(file.path)
    if before is not None:
        kept = f"{file.path}.previous"
        machine.write(kept, before, 0o600)
        click.echo(f"{file.path} changes; the one before is kept as {kept}.", err=True)
        old, new = service.masked(before).splitlines(), file.shown.splitlines()
        for line in difflib.unified_diff(old, new, "before", "after", lineterm="", n=0):
            click.echo(f"  {line}", err=True)
    machine.write(file.path, file.text, file.mode)
