"""`sdm proxy`: settings, sockets, processes, and the last line."""

import logging
from collections.abc import MutableMapping

from sdm.exit_codes import ExitCode
from sdm.worker import listeners, logs, restart
from sdm.worker.certificate_files import CertificateFiles
from sdm.worker.channel import Identity
from sdm.worker.config import Config, ConfigError, load, log_settings, warnings
from sdm.worker.front import raise_descriptor_limit
from sdm.worker.listeners import CannotBind, Listeners
from sdm.worker.spool import Run
from sdm.worker.supervisor import Supervisor
from sdm.worker.tls import BadPair

log = logging.getLogger(__name__)


def run(environ: MutableMapping[str, str]) -> ExitCode:
    """Until it is stopped, or cannot go on."""
    left = restart.take_over(environ)
    log_format, verbose = log_settings(environ)
    logs.set_up(log_format, verbose=verbose)
    try:
        config = load(environ)
        check_files(config)
    except ConfigError as error:
        for problem in error.problems:
            log.error("%s", problem)
        return ExitCode.CONFIGURATION
    for warning in warnings(environ):
        log.warning("%s", warning)
    raise_descriptor_limit()
    try:
        spool = Run.begin(config.spool_directory)
    except OSError as error:
        log.error(
            "The request log cannot be kept in %s: %s. Give another with SDM_SPOOL_DIRECTORY, or make it writable.",
            config.spool_directory,
            error.strerror,
        )
        return ExitCode.CONFIGURATION
    try:
        bound, identity = left or (listeners.bind(config), None)
    except CannotBind as error:
        log.error("%s", error)
        return ExitCode.ADDRESS
    supervisor = Supervisor(config, bound, spool, identity)
    end = supervisor.run()
    if end.code == ExitCode.RESTART:
        _restart(bound, supervisor.identity)
    log.log(logging.INFO if end.code == ExitCode.OK else logging.ERROR, "%s", end.message)
    return ExitCode(end.code)


def _restart(bound: Listeners, identity: Identity) -> None:
    log.info("Starting anew.")
    try:
        restart.begin_anew(bound, identity)
    except OSError as error:
        log.error(
            "The program could not be started anew (%s): whoever watches this process has to.", error.strerror
        )


def check_files(config: Config) -> None:
    """At the start there is no earlier pair to go on with: a bad one ends it."""
    if files := CertificateFiles.of(config):
        try:
            files.load()
        except BadPair as error:
            raise ConfigError([str(error)]) from None
