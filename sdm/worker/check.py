"""`sdm proxy --check`: whether a worker could run here, step by step, in words. It joins nothing and starts nothing."""

import asyncio
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sdm.contract import proof
from sdm.contract.reasons import Reason
from sdm.control_plane.connection import connect
from sdm.control_plane.reaching import reach, resolve
from sdm.control_plane.refusals import ControlError
from sdm.control_plane.where import ControlPlane
from sdm.exit_codes import ExitCode
from sdm.worker import listeners
from sdm.worker.config import Config, ConfigError, load, warnings
from sdm.worker.control.calls import Calls
from sdm.worker.listeners import CannotBind
from sdm.worker.logs import escaped
from sdm.worker.run import check_files

# A difference that nobody has to know of.
_NEAR_ENOUGH = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One step. The code is what a worker would end with, had it failed there."""

    step: str
    code: ExitCode
    text: str

    @property
    def good(self) -> bool:
        return self.code is ExitCode.OK


def check(environ: Mapping[str, str]) -> list[Finding]:
    """Up to the first step that makes the next one pointless."""
    found = [Finding("settings", ExitCode.OK, f"Note: {warning}") for warning in warnings(environ)]
    try:
        config = load(environ)
        check_files(config)
    except ConfigError as error:
        return found + [Finding("settings", ExitCode.CONFIGURATION, problem) for problem in error.problems]
    found.append(Finding("settings", ExitCode.OK, "The settings are complete, and the keys well formed."))
    found.append(_bind(config))
    return found + asyncio.run(_control_plane(config))


def exit_code(findings: list[Finding]) -> ExitCode:
    return next((finding.code for finding in findings if not finding.good), ExitCode.OK)


def as_text(findings: list[Finding]) -> str:
    return "\n".join(
        f"{'ok   ' if each.good else 'WRONG'} {each.step}: {escaped(each.text)}" for each in findings
    )


def as_json(findings: list[Finding]) -> str:
    return json.dumps([{**asdict(each), "good": each.good} for each in findings], indent=2)


def _bind(config: Config) -> Finding:
    try:
        bound = listeners.bind(config)
    except CannotBind as error:
        return Finding("listen", ExitCode.ADDRESS, str(error))
    try:
        return Finding("listen", ExitCode.OK, f"{bound.name()} can be listened on.")
    finally:
        bound.close()


async def _control_plane(config: Config) -> list[Finding]:
    found: list[Finding] = []
    for step, look in (("name", _resolve), ("connection", _connect)):
        try:
            found.append(Finding(step, ExitCode.OK, await look(config.control_plane)))
        except ControlError as error:
            return [*found, Finding(step, ExitCode.UNAVAILABLE, str(error))]
    return [*found, *await _challenge(config)]


async def _resolve(where: ControlPlane) -> str:
    return f"{where.host} is {', '.join(await resolve(where))}."


async def _connect(where: ControlPlane) -> str:
    _, writer = await reach(where)
    writer.close()
    return f"{where} accepts connections."


async def _challenge(config: Config) -> list[Finding]:
    """The first half of joining. The second would make a worker."""
    try:
        async with connect(config.control_plane) as channel:
            asked = dt.datetime.now(dt.UTC)
            answer = await Calls(channel, str(config.control_plane)).challenge(config.access_key)
    except ControlError as error:
        code = ExitCode.UNAVAILABLE if error.reason.may_retry else ExitCode.REFUSED
        step = "clock" if error.reason is Reason.CLOCK else "control plane"
        return [Finding(step, code, f"{error} ({error.reason})")]
    how = "in the clear, on this machine" if config.control_plane.plaintext else "over TLS"
    words = f"It answers {how}. The secret key is looked at when a worker joins."
    found = [Finding("control plane", ExitCode.OK, words)]
    if answer.HasField("now"):
        found.append(_clock(answer.now.ToDatetime(dt.UTC), asked, dt.datetime.now(dt.UTC)))
    return found


def _clock(theirs: dt.datetime, asked: dt.datetime, heard: dt.datetime) -> Finding:
    """They looked at their clock somewhere between our asking and our hearing; half-way is the best guess."""
    ahead = asked + (heard - asked) / 2 - theirs
    seconds = abs(ahead).total_seconds()
    how = f"{seconds:,.0f} s {'ahead of' if ahead > dt.timedelta(0) else 'behind'} the control plane's"
    if seconds > proof.TOLERANCE.total_seconds():
        return Finding(
            "clock", ExitCode.UNAVAILABLE, f"This machine's clock is {how}. Set it, with NTP for one."
        )
    if seconds > _NEAR_ENOUGH:
        limit = proof.TOLERANCE.total_seconds() / 60
        return Finding(
            "clock", ExitCode.OK, f"This machine's clock is {how}; up to {limit:.0f} minutes are fine."
        )
    return Finding("clock", ExitCode.OK, "This machine's clock is that of the control plane.")
