"""The two files that make a worker a systemd service: its settings and its unit. Text alone; nothing is written."""

import re
from collections.abc import Mapping
from pathlib import Path

from sdm.exit_codes import ExitCode
from sdm.worker import config
from sdm.worker.config import Config

SERVICE = "sdm-worker"
SETTINGS_FILE = f"/etc/sysconfig/{SERVICE}"
UNIT_FILE = f"/etc/systemd/system/{SERVICE}.service"
MASK = "********"
_PRIVILEGED = 1024
# Between the last connection and the last line of the log.
_MARGIN = 10
_PLAIN = re.compile(r"[\w@%+=:,./\[\]-]*", re.ASCII)

_UNIT = """\
# Written by `sdm install --worker`. Change it with `systemctl edit {service}`, the settings in {settings}.
[Unit]
Description=Proxy worker
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=600
StartLimitBurst=30

[Service]
Type=exec
EnvironmentFile={settings}
WorkingDirectory={package}
ExecStart={python} -m sdm proxy
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=5
# The control plane will not have it, or a setting is wrong: starting it again changes nothing.
RestartPreventExitStatus={final}
# The supervisor tells its processes; time for live connections.
KillMode=mixed
TimeoutStopSec={stop}

DynamicUser=yes
User={service}
UMask=0077
# The request log, until the control plane has it.
StateDirectory={service}
StateDirectoryMode=0700
{capabilities}
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def unit(settings: Config, *, python: Path, package: Path) -> str:
    return _UNIT.format(
        service=SERVICE,
        settings=SETTINGS_FILE,
        package=_path(package),
        python=_path(python),
        final=f"{ExitCode.REFUSED} {ExitCode.CONFIGURATION}",
        stop=settings.shutdown_notice + settings.shutdown_timeout + _MARGIN,
        capabilities=_capabilities(settings),
    )


def settings_file(settings: Config, environ: Mapping[str, str], *, masked: bool = False) -> str:
    """What `environ` says, with the keys themselves instead of the files that they came from."""
    access, secret = config.SECRETS
    keys = {
        access: settings.access_key,
        secret: MASK if masked else settings.secret_key.reveal(),
    }
    others = (name for name in config.KNOWN if not name.startswith(config.SECRETS))
    rest = {name: value for name in others if (value := environ.get(name, "").strip())}
    return "".join(f"{name}={_quoted(value)}\n" for name, value in {**keys, **rest}.items())


def masked(text: str) -> str:
    """A settings file that is there already, fit to be shown."""
    return re.sub(rf"^(\s*{config.SECRETS[1]}\s*=).*$", rf"\1{MASK}", text, flags=re.MULTILINE)


def unprintable(environ: Mapping[str, str]) -> list[str]:
    """Settings that no line of a file can hold."""
    return [
        name
        for name in config.KNOWN
        if any(not character.isprintable() for character in environ.get(name, "").strip())
    ]


def _capabilities(settings: Config) -> str:
    listening = [where.port for where in (settings.bind, settings.probes, settings.metrics) if where]
    if all(port >= _PRIVILEGED or port == 0 for port in listening):
        return "CapabilityBoundingSet="
    return "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE"


def _quoted(value: str) -> str:
    """As systemd.exec(5) reads it, and a shell as well."""
    if _PLAIN.fullmatch(value):
        return value
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'


def _path(path: Path) -> str:
    """systemd.unit(5): a percent sign begins a specifier."""
    return str(path).replace("%", "%%")
