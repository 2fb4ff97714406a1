"""The names in the certificate of the API, when the console's own authority signs it."""

from console import env
from console.first_run import Listen
from sdm.contract.address import canonical_host
from sdm.pki.profiles import MAX_HOSTS

# Whoever connects on this machine and wants TLS finds its name as well.
HERE = ("localhost", "127.0.0.1", "[::1]")
_AT_MOST = MAX_HOSTS - len(HERE)


def names(app_domain: str, listen: Listen) -> list[str]:
    """Those of CONSOLE_API_NAMES, or what workers are told to connect to and the address that is listened on."""
    given = env.text("CONSOLE_API_NAMES").replace(",", " ").split()
    return list(dict.fromkeys([*_checked(given or _known(app_domain, listen)), *HERE]))


def _known(app_domain: str, listen: Listen) -> list[str]:
    host, colon, port = app_domain.rpartition(":")
    told = host if colon and port.isdigit() else app_domain
    return [told] if listen.everywhere else [told, listen.host]


def _checked(hosts: list[str]) -> list[str]:
    if len(hosts) > _AT_MOST:
        raise env.SettingError(f"CONSOLE_API_NAMES: give up to {_AT_MOST} names; these are {len(hosts)}.")
    found = []
    for host in hosts:
        try:
            found.append(canonical_host(f"[{host}]" if host.count(":") > 1 and host[0] != "[" else host))
        except ValueError as error:
            raise env.SettingError(
                f"CONSOLE_API_NAMES: {host!r} cannot stand in a certificate: {error}"
            ) from None
    return found
