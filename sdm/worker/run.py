"""`sdm proxy`: settings, sockets, processes, and the last line."""

import logging
from collections.abc import Mapping

from sdm.exit_codes import ExitCode
from sdm.worker import listeners, logs
from sdm.worker.certificate_files import CertificateFiles
from sdm.worker.config import CertSource, Config, ConfigError, LogFormat, load, log_settings, warnings
from sdm.worker.front import raise_descriptor_limit
from sdm.worker.listeners import CannotBind
from sdm.worker.supervisor import Supervisor
from sdm.worker.tls import BadPair

log = logging.getLogger(__name__)


def run(environ: Mapping[str, str]) -> ExitCode:
    """Until it is stopped, or cannot go on."""
    logs.set_up(LogFormat.TEXT, verbose=False)
    try:
        log_format, verbose = log_settings(environ)
        logs.set_up(log_format, verbose=verbose)
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
        bound = listeners.bind(config)
    except CannotBind as error:
        log.error("%s", error)
        return ExitCode.ADDRESS
    end = Supervisor(config, bound).run()
    log.log(logging.INFO if end.code == ExitCode.OK else logging.ERROR, "%s", end.message)
    return ExitCode(end.code)


def check_files(config: Config) -> None:
    """At the start there is no earlier pair to go on with: a bad one ends it."""
    if config.cert_source is CertSource.FILE and config.cert_file and config.key_file:
        try:
            CertificateFiles(config.cert_file, config.key_file).load()
        except BadPair as error:
            raise ConfigError([str(error)]) from None
