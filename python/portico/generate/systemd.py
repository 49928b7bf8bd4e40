"""A service of systemd that runs portico, and a socket unit for each address, by name (`fd://NAME`).

systemd holds the sockets, so that connections wait while the service is restarted, and ports below 1024 need
no privileges. portico says when it is ready, and that it goes on (sd_notify(3)), hence `Type=notify`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from portico.config.address import Address
from portico.config.addresses import parse_address
from portico.config.capabilities import NONE
from portico.config.check import check_app
from portico.config.kinds import LogFile
from portico.config.privileges import INFINITY
from portico.config.settings import Settings
from portico.config.working_directory import working_directory
from portico.errors import OperatorError, quoted
from portico.generate.command import words
from portico.generate.deployment import Deployment, File
from portico.generate.head import made_by
from portico.generate.layout import Derived, comment, escaped, fill, listing
from portico.generate.times import shown, stop_s, stop_source
from portico.process.descriptor_limit import wanted_descriptors

_PRIVILEGES = ("user", "group", "groups", "umask", "limit", "no_new_privs", "capabilities")
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@*?&[]")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "%": "%%", "$": "$$"}

_SERVICE = """
    <head>

    [Unit]
    Description=<name> (WSGI application under portico)
    After=network.target
    Requires=<sockets>
    After=<sockets>

    [Service]
    # A start is done when the workers are ready, a reload when they are replaced; `systemctl status` shows
    # figures.
    Type=notify
    NotifyAccess=main
    <watchdog>
    <user>
    # Variables that are nobody else's business, one NAME=VALUE a line; the file may be missing.
    EnvironmentFile=-/etc/default/<name>
    <sockets_of_service>
    # Sockets that portico opens itself are kept through a restart. systemd before 254 does not tell that.
    FileDescriptorStoreMax=<stored>
    Environment=FDSTORE=<stored>
    ExecStart=<command>
    # Rolls the workers: a new one is ready before an old one leaves.
    ExecReload=/bin/kill -HUP $MAINPID
    # TERM goes to the supervisor alone, which tells its workers and waits for them.
    KillMode=mixed
    TimeoutStopSec=<stop>
    Restart=on-failure
    RestartSec=1s
    # A mistake in the command line does not go away by itself.
    RestartPreventExitStatus=2
    # The supervisor replaces a worker that the kernel has killed for its memory.
    OOMPolicy=continue
    <limits>

    # What neither portico nor an ordinary application needs. What the application writes goes to
    # /var/lib/<name>; other places have to be named by ReadWritePaths=.
    StateDirectory=<name>
    RuntimeDirectory=<name>
    RuntimeDirectoryPreserve=<preserve>
    ProtectSystem=strict
    <writable>
    ProtectHome=<protect_home>
    PrivateTmp=<private_tmp>
    PrivateDevices=yes
    ProtectClock=yes
    ProtectControlGroups=yes
    ProtectHostname=yes
    ProtectKernelLogs=yes
    ProtectKernelModules=yes
    ProtectKernelTunables=yes
    ProtectProc=invisible
    NoNewPrivileges=yes
    CapabilityBoundingSet=<capabilities>
    <ambient>
    LockPersonality=yes
    RemoveIPC=yes
    RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
    RestrictNamespaces=yes
    RestrictRealtime=yes
    RestrictSUIDSGID=yes
    SystemCallArchitectures=native
    SystemCallFilter=@system-service
    SystemCallErrorNumber=EPERM
    # Not MemoryDenyWriteExecute=: many extension modules (cffi, numba) make code at run time.

    [Install]
    WantedBy=multi-user.target
"""

_WATCHDOG = """
    # Restarts the service if no worker makes progress though requests wait.
    WatchdogSec=60s
"""
_NO_WATCHDOG = "# No WatchdogSec=: with timeout 0 a call may take as long as it likes."
_MOST_STORED = 64

_SOCKET = """
    <head>

    [Unit]
    Description=<name> (socket of portico, <bind>)

    [Socket]
    ListenStream=<place>
    # By this name portico finds it: --bind <scheme_and_name>
    FileDescriptorName=<unit>
    Service=<name>.service
    Backlog=<backlog>
    <options>

    [Install]
    WantedBy=sockets.target
"""


def files(deployment: Deployment) -> list[File]:
    """Return the service and then its sockets.

    Raises OperatorError if no application is named, or if an address is nothing that systemd can listen on.
    """
    settings, name = deployment.settings, deployment.name
    check_app(settings)
    addresses = [parse_address(text) for text in settings.bind]
    units = [name if number == 1 else f"{name}-{number}" for number in range(1, len(addresses) + 1)]
    sockets = [
        File(f"{unit}.socket", _socket(deployment, unit, address, addresses))
        for unit, address in zip(units, addresses, strict=True)
    ]
    names = [socket.name for socket in sockets]
    directory = working_directory(settings)
    command = [
        *deployment.program,
        "run",
        *words(
            settings,
            # systemd does it, before there is a portico.
            without=_PRIVILEGES,
            replaced={
                "chdir": [directory],
                "bind": [
                    str(_by_name(address, unit)) for unit, address in zip(units, addresses, strict=True)
                ],
            },
        ),
    ]
    derived = [
        Derived("TimeoutStopSec", f"{stop_s(settings)}s", stop_source(settings)),
        Derived("LimitNOFILE", str(wanted_descriptors(settings)), shown(settings, Settings.max_connections)),
    ]
    log_directories = _log_directories(settings, directory)
    places = [_place(settings, address) for address in addresses]
    paths = [command[0], directory, *log_directories]
    paths += [os.path.normpath(os.path.join(directory, path)) for path in settings.pythonpath]
    service = fill(
        _SERVICE,
        head=comment(
            f"{made_by(deployment)}\n"
            f"For /etc/systemd/system/{name}.service, beside {' and '.join(names)}; then\n"
            f"  systemctl daemon-reload && systemctl enable --now {' '.join(names)} {name}.service\n\n"
            f"From these settings of portico:\n{listing(derived)}"
        ),
        name=name,
        sockets=" ".join(names),
        user=_user(deployment),
        sockets_of_service="\n".join(f"Sockets={socket}" for socket in names),
        command=_command_line(command),
        stop=derived[0].value,
        watchdog=fill(_WATCHDOG).strip() if settings.timeout_s else _NO_WATCHDOG,
        stored=str(_MOST_STORED),
        # A socket there is not the service's: it outlives it.
        preserve="yes" if _any_below(places, [f"/run/{name}"]) else "restart",
        limits="\n".join(_limits(settings, derived[1].value)),
        capabilities=_capabilities(settings),
        ambient=f"AmbientCapabilities={_capabilities(settings)}" if _capabilities(settings) else "",
        writable=f"ReadWritePaths={' '.join(map(quote, log_directories))}" if log_directories else "",
        protect_home="read-only" if _any_below(paths, _HOMES) else "yes",
        private_tmp="no" if _any_below(paths, _TEMPORARY) else "yes",
    )
    return [File(f"{name}.service", service), *sockets]


def quote(word: str) -> str:
    """Return `word` as systemd reads it back in a command line (systemd.service(5), "Command lines")."""
    text = "".join(
        _ESCAPES.get(character) or (character if character.isprintable() else escaped(character))
        for character in word
    )
    return text if word and _PLAIN.issuperset(word) else f'"{text}"'


def _command_line(command: Sequence[str]) -> str:
    """One option a line, because there may be many."""
    lines: list[str] = []
    for word in command:
        if word.startswith("--") or not lines:
            lines.append(quote(word))
        else:
            lines[-1] += f" {quote(word)}"
    return " \\\n    ".join(lines)


def _user(deployment: Deployment) -> str:
    settings = deployment.settings
    lines = ["# A user that exists only while the service runs; or name one by --user.", "DynamicUser=yes"]
    if deployment.user:
        lines = [f"User={deployment.user}"]
    lines += [f"Group={settings.group}"] if settings.group else []
    groups = [group for group in settings.groups if group != NONE]
    lines += [f"SupplementaryGroups={' '.join(groups)}"] if groups else []
    lines += [f"UMask={settings.umask:04o}"] if settings.umask is not None else []
    return "\n".join(lines)


def _limits(settings: Settings, descriptors: str) -> Iterator[str]:
    limits = {name: (soft, hard) for name, soft, hard in settings.limits}
    if "nofile" not in limits:
        yield f"LimitNOFILE={descriptors}"
    for name, pair in limits.items():
        texts = ["infinity" if each == INFINITY else str(each) for each in pair]
        yield f"Limit{name.upper()}={':'.join(dict.fromkeys(texts))}"


def _capabilities(settings: Settings) -> str:
    return " ".join(f"CAP_{name.upper()}" for name in settings.capabilities if name != NONE)


def _by_name(address: Address, unit: str) -> Address:
    return Address(
        scheme=address.scheme,
        fd_name=unit,
        proxy=address.proxy,
        persistent=address.persistent,
        stderr=address.stderr,
    )


def _socket(deployment: Deployment, unit: str, address: Address, addresses: Sequence[Address]) -> str:
    settings = deployment.settings
    backlog = Derived("Backlog", str(settings.backlog), shown(settings, Settings.backlog))
    return fill(
        _SOCKET,
        head=comment(
            f"{made_by(deployment)}\nFor /etc/systemd/system/{unit}.socket. From these settings of portico:\n"
            f"{listing([Derived('ListenStream', _place(settings, address), f'bind {address}'), backlog])}"
        ),
        name=deployment.name,
        bind=_fit_value(settings, address, str(address)),
        place=_fit_value(settings, address, _place(settings, address)),
        scheme_and_name=str(_by_name(address, unit)),
        unit=unit,
        backlog=backlog.value,
        options="\n".join(
            _fit_value(settings, address, option) for option in _socket_options(address, addresses)
        ),
    )


def _fit_value(settings: Settings, address: Address, text: str) -> str:
    """Return `text` as a value that has no quotes; raises OperatorError where it would be more than that."""
    if not text.isprintable() or text != text.strip() or text.endswith("\\"):
        origin = settings.origins[Settings.bind.attribute]
        raise OperatorError(
            f"{origin}: {quoted(str(address))} has a space at its end, a backslash there, or a character "
            "that cannot be seen, which a unit of systemd cannot hold; choose another name"
        )
    return text.replace("%", "%%")


def _place(settings: Settings, address: Address) -> str:
    """Where systemd listens; it knows no host names."""
    origin = settings.origins[Settings.bind.attribute]
    if address.is_inherited:
        raise OperatorError(
            f"{origin}: {address} does not say where the socket listens; name the address itself, and the "
            ".socket unit takes it over"
        )
    if address.is_abstract:
        return f"@{address.path}"
    if address.path:
        return os.path.normpath(os.path.join(working_directory(settings), address.path))
    host = "127.0.0.1" if address.host == "localhost" else address.host
    if not address.port:
        raise OperatorError(f"{origin}: {address}: systemd listens on a port that is known, not on port 0")
    if ":" not in host and not all(part.isdigit() for part in host.split(".")):
        raise OperatorError(f"{origin}: {address}: systemd listens on an IP address, not on a host name")
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"


def _socket_options(address: Address, addresses: Sequence[Address]) -> list[str]:
    """What portico itself would have set on the socket."""
    if address.path:
        if address.is_abstract:
            return []
        # As after a bind with the usual umask, unless the address says more.
        mode = 0o755 if address.mode is None else address.mode
        lines = [f"SocketMode={mode:04o}"]
        lines += [f"SocketUser={address.owner}"] if address.owner else []
        lines += [f"SocketGroup={address.group}"] if address.group else []
        if not address.owner and not address.group and not mode & 0o002:
            lines.append(
                "# Only root can connect; a reverse proxy can with "
                "--bind 'unix:PATH?mode=660&group=www-data'."
            )
        return [*lines, "RemoveOnStop=yes"]
    lines = ["NoDelay=yes", "DeferAcceptSec=1"]
    if ":" in address.host:
        is_shared = any(
            other.port == address.port and other.host and ":" not in other.host for other in addresses
        )
        lines.append(f"BindIPv6Only={'ipv6-only' if is_shared else 'both'}")
    return lines


def _log_directories(settings: Settings, directory: str) -> list[str]:
    files = [
        settings.values[row.attribute]
        for row in (Settings.access_log, Settings.error_log)
        if isinstance(row.kind, LogFile) and row.kind.is_file(settings.values[row.attribute])
    ]
    found = [os.path.dirname(os.path.normpath(os.path.join(directory, path))) for path in files]
    return list(dict.fromkeys(found))


def _any_below(paths: Sequence[str], folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for path in paths for folder in folders)
