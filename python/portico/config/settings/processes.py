"""How many processes and threads call the application, what they are called, and how long they may take."""

from __future__ import annotations

from portico.config.kinds import (
    Choice,
    Duration,
    Name,
    NumberOrAuto,
    PythonModule,
    RouteDuration,
    WholeNumber,
)
from portico.config.setting import Group, ManySetting, Setting
from portico.config.values import Values

_PROCESSES = Group("processes", "processes")


class ProcessSettings(Values):
    """The rows of the group `processes`."""

    __slots__ = ()

    workers = Setting(
        "workers",
        NumberOrAuto(1, 512),
        None,
        short_flag="-w",
        also_environment="WEB_CONCURRENCY",
        group=_PROCESSES,
        summary="Processes; auto is one for each CPU.",
        documentation="How many processes run the application; auto is one for each CPU that "
        "affinity and the cgroup allow.",
    )
    worker = Setting(
        "worker",
        Choice(
            "threads", "gevent", "asyncio", "tornado", synonyms=(("gthread", "threads"), ("sync", "threads"))
        ),
        "threads",
        group=_PROCESSES,
        documentation="How calls of the application run beside each other in one worker: on `threads`; as "
        "greenlets of `gevent`, whose monkey.patch_all() is called before the application is imported; or "
        "one after the other on the thread of an `asyncio` loop, or Tornado's, which runs for the "
        "application too. docs/workers.md says which to choose.",
    )
    threads = Setting(
        "threads",
        WholeNumber(1, 1024),
        8,
        group=_PROCESSES,
        summary="Most calls at a time in a process.",
        documentation="The most calls of the application at the same time in one worker. Threads are started "
        "when calls block; fast applications stay on one. With 1 the application need not be "
        "thread-safe.",
    )
    greenlets = Setting(
        "greenlets",
        WholeNumber(1, 1023),
        1000,
        group=_PROCESSES,
        documentation="The most calls of the application at the same time in one worker that has no "
        "`threads`.",
    )
    timeout_s = Setting(
        "timeout",
        Duration(0, 86400),
        60.0,
        short_flag="-t",
        group=_PROCESSES,
        summary="The longest that one call may take.",
        documentation="The longest that a call of the application may keep its client waiting: from its "
        "start, or from the last block that left. After that portico.RequestTimeout is raised in it, which "
        "gives its client a 504. So long may a request wait for the interpreter, too. 0 is no limit.",
    )
    timeout_grace_s = Setting(
        "timeout_grace",
        Duration(0, 3600),
        1.0,
        group=_PROCESSES,
        documentation="How long a call may go on in which RequestTimeout was raised, to clean up. After that "
        "the client gets its 504 all the same, the stacks are logged, and the worker is replaced: its other "
        "calls finish, each within its own timeout.",
    )
    slow_after_s = Setting(
        "slow_after",
        Duration(0, 86400),
        10.0,
        group=_PROCESSES,
        documentation="The stack of a call that has kept its client waiting for this long is logged, and "
        "again after twice and four times that. The call goes on, and others do not wait for it. 0 is never.",
    )
    route_timeout = ManySetting(
        "route_timeout",
        RouteDuration(0, 86400),
        (),
        separator=",",
        group=_PROCESSES,
        documentation="Another `timeout` for a path and all below it, such as /export=10m; 0 is no limit. "
        "The path is as the client sends it, with the mount. May be repeated; of several the longest counts.",
    )
    route_slow_after = ManySetting(
        "route_slow_after",
        RouteDuration(0, 86400),
        (),
        separator=",",
        group=_PROCESSES,
        documentation="Another `slow_after` for a path and all below it, such as /export=5m; 0 is never. May "
        "be repeated; of several the longest counts.",
    )
    graceful_timeout_s = Setting(
        "graceful_timeout",
        Duration(0, 86400),
        30.0,
        group=_PROCESSES,
        summary="The longest that a stop may take.",
        documentation="How long a worker that was told to stop may go on serving the requests in flight.",
    )
    drain_delay_s = Setting(
        "drain_delay",
        Duration(0, 3600),
        0.0,
        group=_PROCESSES,
        documentation="How long a stop by TERM is announced before it begins: `health_path` responds with "
        "503, responses have `Connection: close`, and all requests are served, also on new connections. Then "
        "`graceful_timeout` begins. For load balancers that go on sending until a health check has failed; a "
        "reload has no such delay, since its addresses stay open.",
    )
    hooks = Setting(
        "hooks",
        PythonModule(),
        "",
        group=_PROCESSES,
        documentation="A module, or a file, with functions of yours that are called when something happens "
        "to the server: `on_start`, `pre_fork`, `post_fork`, `worker_ready`, `worker_exit`, "
        "`request_timeout`, `on_reload`, `on_exit`. What each is told, and in which process: "
        "docs/operations.md.",
    )
    name = Setting(
        "name",
        Name(),
        "",
        short_flag="-n",
        group=_PROCESSES,
        documentation="What the processes are called: `ps`, `top` and `htop` show `portico: supervisor NAME` "
        "and `portico: worker 1 NAME`. Without it, APP as it was given. The service, upstream or image of "
        "`portico generate` has this name too, or else that of the application's module.",
    )
