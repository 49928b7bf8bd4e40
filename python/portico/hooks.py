"""What a hook is told: small plain objects, for annotations in the module that `hooks` names.

Made anew for each call; a change of one changes nothing. Imports nothing: hooks run in processes of few
megabytes.
"""

from __future__ import annotations


class Server:
    """The server as a whole.

    `name` is its name, `pid` the supervisor, `addresses` are what is listened on, `workers` is how many
    workers are wanted, `generation` counts the reloads from 0 on.
    """

    __slots__ = ("addresses", "generation", "name", "pid", "workers")

    def __init__(
        self, name: str, *, pid: int, addresses: tuple[str, ...], workers: int, generation: int
    ) -> None:
        self.name = name
        self.pid = pid
        self.addresses = addresses
        self.workers = workers
        self.generation = generation


class Worker:
    """One worker.

    `number` counts from 1, and is free for another once the worker has ended; `pid` is 0 before the fork.
    `exit_code` is None while it runs, and negative for the signal that has killed it; `was_expected` says
    whether it had been told to leave.
    """

    __slots__ = ("exit_code", "number", "pid", "was_expected")

    def __init__(
        self, number: int, *, pid: int = 0, exit_code: int | None = None, was_expected: bool = False
    ) -> None:
        self.number = number
        self.pid = pid
        self.exit_code = exit_code
        self.was_expected = was_expected


class Request:
    """A request whose call has taken too long.

    `line` is as `GET /path`, shortened; `elapsed_s` is for how long it has been in the application,
    `timeout_s` the limit that holds.
    """

    __slots__ = ("elapsed_s", "line", "timeout_s")

    def __init__(self, line: str, *, elapsed_s: float, timeout_s: float) -> None:
        self.line = line
        self.elapsed_s = elapsed_s
        self.timeout_s = timeout_s
