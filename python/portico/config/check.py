"""Rules that one value alone cannot decide: settings against each other, and settings against this machine.

Runs in the process of the command line, after config/sources.py and before anything is opened or bound.
"""

from __future__ import annotations

import os

from portico.config.addresses import parse_address
from portico.config.clashes import clashes
from portico.config.file_names import VARIABLE
from portico.config.kinds import LogFile
from portico.config.log_daemon import is_log_daemon
from portico.config.settings import TABLE, Settings
from portico.config.standard_output import STANDARD_OUTPUT
from portico.config.values import AUTO
from portico.config.working_directory import working_directory
from portico.errors import quoted, raise_mistakes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_PREFIX = "PORTICO_"


def check(settings: Settings) -> None:
    """Raise OperatorError with a sentence for each rule that `settings` break."""
    directory = working_directory(settings)
    mistakes = _in_directory(settings, directory)
    # What is wrong below a directory that cannot be entered, nobody can tell.
    rules = (
        *(_in_import_path, _in_static_directories, *_rules_of_routes(settings), _in_logs),
        _in_admin_token,
    )
    below = [] if mistakes else [sentence for rule in rules for sentence in rule(settings, directory)]
    app = [] if mistakes and not settings.app else _in_app(settings)
    elsewhere = [*_in_installed(settings), *_in_access_lines(settings)]
    raise_mistakes([*mistakes, *app, *elsewhere, *clashes(settings, directory), *below])


def _rules_of_routes(settings: Settings) -> tuple[Callable[[Settings, str], Iterator[str]], ...]:
    """Return those that hold of routes, and of what routes may have, too."""
    if not (settings.routes or settings.error_pages):
        return ()
    from portico.config.error_pages import in_error_pages
    from portico.config.routes.tls import in_tls

    return (_in_folders, in_error_pages, in_tls)


def _in_installed(settings: Settings) -> Iterator[str]:
    if settings.routes:
        from portico.config.routes.table import asks_dns

        if asks_dns(settings.routes) and not _is_installed("dns"):
            yield (
                "resolver: expected the package dnspython, since an [[upstream]] asks the DNS, got none: "
                "pip install 'portico-server[dns]'"
            )
    if settings.otlp != "off" and not all(map(_is_installed, _OF_OTLP)):
        # Here, because few have one.
        from portico.otlp import MISSING

        yield f"{settings.origins[Settings.otlp.attribute]}: {MISSING}"


_OF_OTLP = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")


def _is_installed(name: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        # One of those that it is in.
        return False


def check_together(settings: Settings, directory: str) -> None:
    """Raise OperatorError for the rules that `settings` break among themselves, wherever they will run.

    `directory` is what relative paths start from.
    """
    raise_mistakes(clashes(settings, directory))


def check_app(settings: Settings) -> None:
    """Raise OperatorError if no application is named or found, or if it would be called twice."""
    raise_mistakes(_in_app(settings))


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each PORTICO_* variable that is no setting: most likely a slip of the pen."""
    known = [VARIABLE, *(row.environment[0] for row in TABLE)]
    sentences = []
    for variable in sorted(environment):
        if variable.startswith(_PREFIX) and variable not in known:
            # Here, because few have any.
            import difflib

            from portico.config.document import SURELY_MEANT

            # What all of them begin with makes none similar.
            name = variable.removeprefix(_PREFIX)
            names = [each.removeprefix(_PREFIX) for each in known]
            near = difflib.get_close_matches(name, names, n=1, cutoff=SURELY_MEANT)
            hint = f"; did you mean {_PREFIX}{near[0]}?" if near else ""
            sentences.append(f"{variable} in the environment is not a setting{hint}")
    return sentences


def left_out(settings: Settings) -> list[str]:
    """Return a sentence for each mistake in a file of an application that is not served because of it."""
    found = {} if settings.pools is None else settings.pools["left_out"]
    return [f"{each}; this application is left out" for sentences in found.values() for each in sentences]


def warnings(settings: Settings) -> list[str]:
    """Return a sentence for each thing that is no mistake, and most likely not meant so."""
    return [*_as_root(settings), *_of_routes(settings)]


def _of_routes(settings: Settings) -> Iterator[str]:
    if settings.routes:
        from portico.config.routes.tls import unverified

        yield from unverified(settings)


def _as_root(settings: Settings) -> Iterator[str]:
    """Yield a sentence if the application will run as root, for clients of other machines."""
    if os.geteuid() or settings.user not in ("", "root", "0"):
        return
    from portico.config.reach import is_reached_from_elsewhere

    if not any(is_reached_from_elsewhere(parse_address(text)) for text in settings.bind):
        return
    yield (
        "portico runs as root, and the application with it: start it as a user of its own (User= of systemd, "
        "which `portico generate systemd` writes; USER of a Dockerfile), or let its workers be one (--user)"
    )


def _in_directory(settings: Settings, directory: str) -> list[str]:
    origin = settings.origins[Settings.chdir.attribute]
    if not os.path.isdir(directory):
        return [f"{origin}: expected a directory, got {quoted(directory)}, which is none"]
    if not os.access(directory, os.X_OK):
        return [f"{origin}: no permission to enter {quoted(directory)}"]
    return []


def _in_app(settings: Settings) -> list[str]:
    if not settings.app:
        # Here, because most name one.
        from portico.config.finding import why_none_was_found
        from portico.config.routes.table import needs_no_application

        if settings.pools is not None or needs_no_application(settings.routes):
            return []
        return [why_none_was_found(settings, working_directory(settings), os.environ)]
    if settings.factory and "(" in settings.app:
        origins = [settings.origins[row.attribute] for row in (Settings.app, Settings.factory)]
        return [
            f"{quoted(settings.app)} ({origins[0]}) is a factory that is called already, and factory "
            f"({origins[1]}) would call what it returns; leave out one of them"
        ]
    return []


def _in_import_path(settings: Settings, directory: str) -> Iterator[str]:
    """Python passes over what is not there, and then says that a module is missing."""
    origin = settings.origins[Settings.pythonpath.attribute]
    for path in settings.pythonpath:
        if not os.path.exists(os.path.join(directory, path)):
            hint = "; each directory has an option of its own" if "," in path else ""
            yield f"{origin}: expected a directory, got {quoted(path)}, which is not there{hint}"


def _in_static_directories(settings: Settings, directory: str) -> Iterator[str]:
    for row in (Settings.static_directories, Settings.x_accel_redirect):
        origin = settings.origins[row.attribute]
        for text in settings.values[row.attribute]:
            prefix, _, path = text.partition("=")
            if text != AUTO and not os.path.isdir(os.path.join(directory, path)):
                yield f"{origin}: expected a directory for {prefix}, got {quoted(path)}, which is none"
    for path in settings.x_sendfile:
        if not os.path.isdir(os.path.join(directory, path)):
            origin = settings.origins[Settings.x_sendfile.attribute]
            yield f"{origin}: expected a directory, got {quoted(path)}, which is none"


def _in_folders(settings: Settings, directory: str) -> Iterator[str]:
    """What rows of routes lead to."""
    from portico.config.routes.table import Routes

    for action in Routes.load(settings.routes).actions if settings.routes else ():
        root = action.values.get("root", "")
        if action.table == "static" and not os.path.isdir(os.path.join(directory, root)):
            yield f"{action.origin}: root: expected a directory, got {quoted(root)}, which is none"


def _in_access_lines(settings: Settings) -> Iterator[str]:
    """What a line looks like, and which requests have one."""
    rows = (Settings.access_log_format, Settings.access_log_fields, Settings.access_log_if)
    is_socket = is_log_daemon(settings.access_log)
    if not is_socket and all(settings.values[row.attribute] == row.default for row in rows):
        return
    # Here, because few say anything of it, and what parses options has no need of the engine otherwise.
    from portico import _core

    try:
        _core.check_access_log(settings)
    except ValueError as error:
        name, _, why = str(error).partition(": ")
        yield f"{settings.origins[name]}: {why}"
        return
    if is_socket:
        yield from _in_log_daemon(settings)


def _in_log_daemon(settings: Settings) -> Iterator[str]:
    """One that may be gone for a while later has to be there at the start."""
    from portico import _core

    try:
        fd, why = _core.open_log_socket(settings.access_log)
    except OSError as error:
        why = error.strerror or str(error)
    else:
        os.close(fd)
    if why:
        origin = settings.origins[Settings.access_log.attribute]
        yield f"{origin}: expected a log daemon at {quoted(settings.access_log)}, got: {why}"


def _in_admin_token(settings: Settings, directory: str) -> Iterator[str]:
    """The file with the token of the admin address, which is read there, and never becomes a setting."""
    if not settings.admin_token_file or settings.admin_bind == "off":
        return
    origin = settings.origins[Settings.admin_token_file.attribute]
    # Here, because few have one.
    from portico.admin.access import read_token

    try:
        read_token(os.path.join(directory, settings.admin_token_file))
    except OSError as error:
        yield f"{origin}: cannot read {quoted(settings.admin_token_file)}: {error.strerror}"
    except ValueError as error:
        yield f"{origin}: {error}; {quoted(settings.admin_token_file)} has something else"


def _in_logs(settings: Settings, directory: str) -> Iterator[str]:
    for row in (Settings.access_log, Settings.error_log):
        if not (isinstance(row.kind, LogFile) and row.kind.is_file(settings.values[row.attribute])):
            continue
        # Here, because a usual start has none.
        from portico.config.log_file import open_log_file

        path = os.path.join(directory, settings.values[row.attribute])
        if row is Settings.error_log and path in STANDARD_OUTPUT:
            continue
        before = None if settings.umask is None else os.umask(settings.umask)
        try:
            os.close(open_log_file(path))
        except OSError as error:
            yield f"{settings.origins[row.attribute]}: cannot write {quoted(path)}: {error.strerror}"
        finally:
            if before is not None:
                os.umask(before)
