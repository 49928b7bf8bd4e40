"""Rules that settings break among themselves: a place listened on twice, a part larger than the whole.

Runs in the process of the command line. Receives `Settings`, hands on sentences; looks at nothing else.
"""

from __future__ import annotations

import itertools
import os

from portico.config.address import Address
from portico.config.addresses import parse_address
from portico.config.settings import Settings
from portico.config.values import AUTO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any, TypeAlias

    from portico.config.setting import Setting

    _Clash: TypeAlias = tuple[tuple[Setting[Any], ...], str]
    """The rows that do not go together, and a sentence."""


def clashes(settings: Settings, directory: str, *, unread: Collection[str] = ()) -> list[str]:
    """Return a sentence for each rule that `settings` break among themselves, wherever they will run.

    `directory` is what relative paths start from. The attributes in `unread` have mistakes of their own:
    rules that need one of them are left alone.
    """
    rules = (
        _in_bind(settings, directory),
        _of_peers(settings),
        _of_sizes(settings),
        _of_workers(settings),
        _of_calls(settings),
        _of_forks(settings),
        _of_read_only(settings),
        _of_care(settings),
        _of_routes(settings),
        _of_static_directories(settings),
        _of_found_files(settings),
        _of_cluster(settings),
        _of_admin(settings, directory),
    )
    return [
        sentence
        for rule in rules
        for rows, sentence in rule
        if not {row.attribute for row in rows} & {*unread}
    ]


def _in_bind(settings: Settings, directory: str) -> Iterator[_Clash]:
    """One place is listened on once: with one protocol and one set of options."""
    row = Settings.bind
    origin = settings.origins[row.attribute]
    if not settings.bind:
        yield (row,), f"{origin}: expected at least one address to listen on, got none"
    seen: dict[str, str] = {}
    for text in settings.bind:
        address = _placed(text, directory)
        if address.host and not address.port:
            continue  # each gets a port of its own
        if other := seen.get(address.place):
            what = f"{text} is given twice" if other == text else f"{other} and {text} are the same place"
            yield (row,), f"{origin}: {what}"
        seen[address.place] = text


def _of_peers(settings: Settings) -> Iterator[_Clash]:
    """A listener that nobody may speak to is a mistake."""
    lists = {
        "uwsgi": Settings.uwsgi_allow_from,
        "fastcgi": Settings.fastcgi_allow_from,
        "scgi": Settings.scgi_allow_from,
    }
    for text in settings.bind:
        address = parse_address(text)
        rows = [lists[address.scheme]] if address.scheme in lists else []
        if address.proxy:
            rows.append(Settings.proxy_allow_from)
        for row in rows:
            peers = getattr(settings, row.attribute)
            if not _may_come(peers, address):
                yield (
                    (Settings.bind, row),
                    f"nobody could use {text} ({settings.origins[Settings.bind.attribute]}), because "
                    f"{row.name} is {' '.join(peers) or 'empty'} ({settings.origins[row.attribute]})",
                )


def _may_come(peers: Collection[str], address: Address) -> bool:
    """Say whether any of `peers` can reach `address`; of an inherited one only its opener knows the sort."""
    others = set(peers) - {"unix", "none"}
    if "*" in others:
        return True
    is_internet = bool(others) and not address.path
    return is_internet or ("unix" in peers and not address.host)


def _of_sizes(settings: Settings) -> Iterator[_Clash]:
    """What is allowed of a part cannot exceed the whole: the bound of the part would never be met."""
    whole = Settings.max_head_bytes
    for part in (Settings.max_request_line_bytes, Settings.max_header_bytes):
        if getattr(settings, whole.attribute) <= getattr(settings, part.attribute):
            yield _misfit(settings, whole, "larger than", part)
    for memory, spool in (
        (Settings.body_memory_bytes, Settings.body_spool_bytes),
        (Settings.response_memory_bytes, Settings.response_spool_bytes),
    ):
        if getattr(settings, spool.attribute) < getattr(settings, memory.attribute):
            yield _misfit(settings, spool, "at least", memory)


def _of_workers(settings: Settings) -> Iterator[_Clash]:
    """The fewest workers are no more than those at the start, and these no more than the most."""
    ordered = (Settings.workers_min, Settings.workers, Settings.workers_max)
    given = [row for row in ordered if settings.values[row.attribute] is not None]
    for fewer, more in itertools.pairwise(given):
        if settings.values[fewer.attribute] > settings.values[more.attribute]:
            yield _misfit(settings, more, "at least", fewer)


def _of_calls(settings: Settings) -> Iterator[_Clash]:
    """Who says how many greenlets there may be believes that there are such.

    Not so of threads: to try another way than these is one option more.
    """
    worker, greenlets = Settings.worker, Settings.greenlets
    if settings.worker == worker.default and settings.greenlets != greenlets.default:
        yield (
            (worker, greenlets),
            f"{greenlets.name} ({settings.origins[greenlets.attribute]}) has no effect with {worker.name} "
            f"{settings.worker} ({settings.origins[worker.attribute]}): expected another way",
        )


def _of_forks(settings: Settings) -> Iterator[_Clash]:
    """Workers are forked anew from one of them only where they are forked from one process.

    And only from one that has served without an event loop, which belongs to one process.
    """
    refork, preload, worker = Settings.refork_after, Settings.preload, Settings.worker
    if settings.refork_after and not settings.preload:
        yield (
            (refork, preload),
            f"{refork.name} is {settings.refork_after} ({settings.origins[refork.attribute]}): workers are "
            f"forked from one of them only with {preload.name}",
        )
    if settings.refork_after and settings.worker != worker.default:
        yield (
            (refork, worker),
            f"{refork.name} is {settings.refork_after} ({settings.origins[refork.attribute]}), which is for "
            f"{worker.name} {worker.default}: {settings.worker} ({settings.origins[worker.attribute]}) has "
            "an event loop that no other process can have",
        )


def _of_read_only(settings: Settings) -> Iterator[_Clash]:
    """Exceptions to a rule that is not in force mean that somebody believes it is."""
    for row in (Settings.writable, Settings.landlock):
        origin = settings.origins[row.attribute]
        if not settings.read_only and settings.values[row.attribute] != row.default:
            yield (
                (Settings.read_only, row),
                f"{row.name} ({origin}) has an effect with read_only alone, which is off",
            )


def _of_care(settings: Settings) -> Iterator[_Clash]:
    """A limit of last resort lies above the one that comes first."""
    soft, hard = Settings.max_rss_bytes, Settings.max_rss_hard_bytes
    if settings.max_rss_bytes and 0 < settings.max_rss_hard_bytes <= settings.max_rss_bytes:
        yield _misfit(settings, hard, "larger than", soft)


def _of_routes(settings: Settings) -> Iterator[_Clash]:
    """A path has one limit."""
    rows: tuple[Setting[tuple[tuple[str, float], ...]], ...] = (
        Settings.route_timeout,
        Settings.route_slow_after,
    )
    for row in rows:
        paths = [path.rstrip("/") or "/" for path, _ in settings.values[row.attribute]]
        for path in sorted({path for path in paths if paths.count(path) > 1}):
            yield (row,), f"{settings.origins[row.attribute]}: {path} is given twice"


def _of_static_directories(settings: Settings) -> Iterator[_Clash]:
    """A path has one directory, and a status one page."""
    rows: tuple[Setting[tuple[str, ...]], ...] = (
        *(Settings.static_directories, Settings.x_accel_redirect),
        Settings.error_pages,
    )
    for row in rows:
        prefixes = [text.partition("=")[0] for text in settings.values[row.attribute]]
        for prefix in sorted({prefix for prefix in prefixes if prefixes.count(prefix) > 1}):
            yield (row,), f"{settings.origins[row.attribute]}: {prefix} is given twice"


def _of_found_files(settings: Settings) -> Iterator[_Clash]:
    """Who serves several applications, or one at several places, says where the files of which are."""
    row = Settings.static_directories
    if AUTO in settings.static_directories and settings.routes:
        yield (
            (row,),
            f"{settings.origins[row.attribute]}: expected PREFIX=DIR, or [[static]] in the file, where that "
            "makes routes, got auto",
        )


def _of_cluster(settings: Settings) -> Iterator[_Clash]:
    """HAProxy and Envoy are given addresses that they can use."""
    row = Settings.cluster_address
    is_found = any(parse_address(text).scheme == "http" for text in settings.bind)
    if settings.cluster_haproxy and settings.cluster_address == "auto" and not is_found:
        sentence = "expected an address for HAProxy, since no listener is of HTTP, got auto"
        where = settings.origins[Settings.cluster_haproxy.attribute]
        yield (row, Settings.bind), f"{where}: {row.name}: {sentence}"
    if settings.cluster_eds_file != "off" and settings.cluster_address == "auto":
        listeners = [address for address in map(parse_address, settings.bind) if address.scheme == "http"]
        if listeners and listeners[0].host not in ("0.0.0.0", "::", "[::]", "*"):
            return
        sentence = "expected an address for Envoy, since none listens at one of HTTP, got auto"
        where = settings.origins[Settings.cluster_eds_file.attribute]
        yield (row, Settings.bind), f"{where}: {row.name}: {sentence}"


def _of_admin(settings: Settings, directory: str) -> Iterator[_Clash]:
    """What is served at the admin address is nobody else's."""
    if settings.admin_bind == "off":
        return
    row, other = Settings.admin_bind, Settings.bind
    address = _placed(settings.admin_bind, directory)
    for text in settings.bind:
        if _share_place(address, _placed(text, directory)):
            yield (
                (row, other),
                f"{settings.origins[row.attribute]}: expected an address of its own, got "
                f"{settings.admin_bind}, where {text} ({settings.origins[other.attribute]}) is",
            )


def _placed(text: str, directory: str) -> Address:
    address = parse_address(text)
    if address.is_file:
        address.path = os.path.normpath(os.path.join(directory, address.path))
    return address


def _share_place(one: Address, other: Address) -> bool:
    """Say whether a socket at one of both would be in the way of the other's."""
    if not one.host or not other.host:
        return one.place == other.place
    hosts = {one.host, other.host}
    return 0 < one.port == other.port and (len(hosts) == 1 or bool(hosts & {"0.0.0.0", "::"}))


def _misfit(settings: Settings, one: Setting[Any], relation: str, other: Setting[Any]) -> _Clash:
    values = [one.kind.show(settings.values[row.attribute]) for row in (one, other)]
    origins = [settings.origins[row.attribute] for row in (one, other)]
    return (
        (one, other),
        f"{one.name} is {values[0]} ({origins[0]}), but has to be {relation} {other.name}, "
        f"which is {values[1]} ({origins[1]})",
    )
