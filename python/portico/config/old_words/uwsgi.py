"""The options of uWSGI's command line (2.0) that people use; families by their beginning."""

from __future__ import annotations

from collections.abc import Callable

from portico.config.old_words.word import Becomes, Clash, Elsewhere, Instead, OldWord, Part, Same, Server

_ALWAYS_SUPERVISED = "not needed: there always is a supervisor, and no worker outlives it"
_SYSTEMD = "run it under systemd: `portico generate systemd` prints the units"
_ISOLATION = "systemd or the container isolates it; `portico generate systemd` has the usual directives"
_FILE = (
    "the configuration is a TOML file (docs/configuration.md): `-c FILE`; `portico schema` is what may "
    "stand in it"
)
_EMPEROR = "`apps` of `[routes]` in portico.toml names a folder of applications (docs/pools.md)"
_METRICS = (
    "`--admin-bind` has metrics for Prometheus and `--statsd` pushes them, those of the application too "
    "(docs/run/metrics.md)"
)
_TASKS = (
    "leave background work to a task queue (Celery, RQ, Dramatiq), and the clock to cron or a timer of "
    "systemd"
)
_PLUGINS = "there are no plugins: portico serves WSGI applications of Python"
_RECYCLE = (
    "`--max-rss`, `--max-requests` and `--max-lifetime` say when a worker is replaced; MemoryHigh= or the "
    "container bounds the memory of all"
)
_HUP = "send the supervisor HUP (`systemctl reload`): workers are replaced without losing a request"
_DEV = "use `portico dev`, which reloads when a file changes"
_CHEAPER = (
    "one rule for all: workers start when those there are have little left, and leave after a minute in "
    "which fewer would have done (docs/operations.md)"
)
_ROUTER = "the reverse proxy does it; `portico generate nginx` prints one"
_TLS = "TLS ends at a reverse proxy, for example that of `portico generate nginx`"
_LOGS = (
    "`--access-log FILE` is for requests, `--error-log FILE` for all else; rotation is logrotate's, with "
    "USR1 after it"
)
_STATIC = "`--static /static=DIR` serves files, by the rules of docs/static.md"
_SOCKETS = "not needed: sockets are set up as each protocol wants it"
_SOCKET_FILE = "an option of the address: `-b 'unix:PATH?mode=660&owner=NAME&group=NAME'`"
_THREADS = "not needed: threads are started when calls block, as many as `--threads` allows"
_STACKS = "stacks are logged by themselves; RTMAX-1 to a worker writes them at any time (docs/signals.md)"
_HOOKS = (
    "there are no hooks; ExecStartPre= and ExecStopPost= of systemd, the top of the application's module "
    "and atexit are"
)
_WAITS = (
    "bodies are received before the application is called: `--body-memory` is how much of one stays in memory"
)
_INTERPRETER = "start portico with the Python that is meant; options stand before -m: `python -O -m portico`"
_CACHE = "the server keeps no data for the application: use Redis, memcached or the database"


def _stats_push(value: str) -> list[str]:
    """Make `statsd:ADDRESS,PREFIX` ours; uWSGI's own prefix is its name."""
    kind, _, where = value.strip().partition(":")
    if kind not in ("statsd", "dogstatsd", "socket"):
        raise Elsewhere(_METRICS)
    if kind == "socket":
        raise Elsewhere("`portico ctl status --json` is what it would send; `--statsd` pushes metrics")
    place, _, prefix = where.partition(",")
    return ["--statsd", place, "--statsd-prefix", prefix or "uwsgi"]


def _with_mount(value: str) -> list[str]:
    """Make `MOUNT=DIR` ours, where files are in the directory MOUNT of DIR."""
    mount, _, directory = value.partition("=")
    return ["--static", f"{mount}={directory.rstrip('/')}/{mount.strip('/')}"]


def _address(scheme: str, options: str = "") -> Callable[[str], list[str]]:
    """Return a `convert` that makes an address of uWSGI's, which may be a path or @NAME, one of ours."""

    def convert(value: str) -> list[str]:
        place = value.strip()
        is_unix = place.startswith(("/", "./", "../", "@")) or place.endswith(".sock")
        if is_unix:
            place = f"unix:{place}"
        if scheme != "http":
            place = f"{scheme}{'+' if is_unix else '://'}{place}"
        return ["--bind", place + options]

    return convert


def _syslog(value: str) -> list[str]:
    """Make the name that the program has in syslog, which may be absent, ours."""
    return ["--access-log", "syslog", *(["--syslog-tag", value] if value else [])]


def _rsyslog(value: str) -> list[str]:
    """Make `HOST:PORT,NAME` ours."""
    place, _, tag = value.strip().partition(",")
    return ["--access-log", f"syslog:udp://{place}", *(["--syslog-tag", tag] if tag else [])]


def _request_logger(value: str) -> list[str]:
    """Make one of uWSGI's loggers, as `syslog:shop` or `file:access.log`, ours."""
    kind, _, rest = value.strip().rpartition(" ")[2].partition(":")
    if kind == "file" and rest:
        return ["--access-log", rest]
    if kind == "stdio":
        return ["--access-log", "-"]
    if kind == "syslog":
        tag, _, facility = rest.partition(",")
        return [*_syslog(tag), *(["--syslog-facility", facility] if facility else [])]
    if kind == "rsyslog" and rest:
        return _rsyslog(rest)
    raise Elsewhere(_LOGS)


def _mebibytes(flag: str) -> Callable[[str], list[str]]:
    """Return a `convert` for a size in MB, as uWSGI counts them."""

    def convert(value: str) -> list[str]:
        return [flag, value if value.strip() == "0" else f"{value.strip()}M"]

    return convert


def _is_module(value: str) -> bool:
    """Say whether `value` can only be the name of a module: a word alone may be a slip of a number."""
    module, colon, _ = value.partition(":")
    return bool(colon or "." in module) and all(part.isidentifier() for part in module.split("."))


_LISTENING: tuple[OldWord, ...] = (
    Becomes(
        "--http --http-socket --http11-socket --httprouter ADDRESS",
        "--bind ADDRESS",
        convert=_address("http"),
    ),
    Becomes(
        "-s --socket --uwsgi-socket ADDRESS",
        "--bind uwsgi://ADDRESS",
        convert=_address("uwsgi"),
        note="for a path `uwsgi+unix:PATH`",
    ),
    Becomes(
        "--puwsgi-socket ADDRESS",
        "--bind 'uwsgi://ADDRESS?persistent=on'",
        convert=_address("uwsgi", "?persistent=on"),
    ),
    Instead(
        "--fastcgi-nph-socket --scgi-nph-socket ADDRESS",
        note="`-b fastcgi://HOST:PORT` and `-b scgi://HOST:PORT` send a Status field, not a status line",
    ),
    Instead(
        "--fastcgi-modifier* --scgi-modifier* --raw-modifier* --allowed-modifiers --remap-modifier N",
        note="not needed: modifiers choose a plugin, and there are none",
    ),
    Becomes("--fastcgi-socket ADDRESS", "--bind fastcgi://ADDRESS", convert=_address("fastcgi")),
    Becomes("--scgi-socket ADDRESS", "--bind scgi://ADDRESS", convert=_address("scgi")),
    Becomes("-l --listen N", "--backlog", meant=str.isdecimal),
    Becomes("-v --max-vars N", "--max-variables", meant=str.isdecimal),
    Clash(
        "-b SIZE",
        note="`-b` is where to listen; for the size see `--buffer-size`",
        meant=lambda value: False,
    ),
    Instead(
        "--buffer-size BYTES",
        note="`--max-head` bounds a request head over HTTP, `--max-variables-size` the variables over "
        "uwsgi; both "
        "are 64K, not 4K",
    ),
    Instead("--protocol --socket-protocol NAME", note="the address says it: `-b uwsgi://HOST:PORT`"),
    Instead("-a --abstract-socket", note="the address says it: `-b unix:@NAME`"),
    Instead("-C --chmod-socket --chmod [MODE]", note=_SOCKET_FILE),
    Instead("--chown-socket USER:GROUP", note=_SOCKET_FILE),
    Instead(
        "--shared-socket --undeferred-shared-socket ADDRESS",
        note="not needed: all workers accept from every `-b`",
    ),
    Instead("--map-socket MAP", note="not needed: all workers accept from every `-b`"),
    Instead(
        "--enable-proxy-protocol --http-enable-proxy-protocol",
        note="an option of the address: `-b 'HOST:PORT?proxy=required'`",
    ),
    Instead("--https* --http-to-https --ssl* --suwsgi-socket --sni*", note=_TLS),
    Instead("--http-keepalive [S]", note="not needed: connections are kept, as long as `--keep-alive` says"),
    Instead(
        "--http-timeout S",
        note="`--head-timeout`, `--body-timeout` and `--write-timeout` say how slow a client may be",
    ),
    Becomes("--http-headers-timeout S", "--head-timeout"),
    Instead(
        "--http-auto-chunked --http-chunked-input --http-raw-body --http-manage-expect",
        note="not needed: chunked bodies, both ways, and Expect work by themselves",
    ),
    Instead(
        "--chunked-input-limit --chunked-input-timeout N",
        note="`--max-request-body` bounds a body, `--body-timeout` is how long it may stall",
    ),
    Instead("--http-websockets", note="not needed: libraries have the socket (docs/web-sockets.md)"),
    Instead(
        "--http-auto-gzip",
        note="`--compress gzip` goes by media types, not by a header (docs/compression.md)",
    ),
    Instead("--http-processes --http-workers N", note="not needed: the workers speak HTTP themselves"),
    Instead("--http-*", note=_ROUTER),
    Instead(
        "-z --socket-timeout S",
        note="`--body-timeout` and `--write-timeout` say how slow a peer may be",
    ),
    Becomes(
        "--so-send-timeout --so-write-timeout --socket-send-timeout --socket-write-timeout S",
        "--write-timeout",
    ),
    Instead(
        "--so-keepalive",
        note="not needed: `--keep-alive`, `--body-timeout` and `--write-timeout` find peers that are gone",
    ),
    Instead(
        "--tcp-nodelay --tcp-fast-open* --tcp-fastopen* --no-defer-accept --freebind --reuse-port --socket-* "
        "--shutdown-sockets --no-fd-passing",
        note=_SOCKETS,
    ),
    Instead(
        "--raw-socket --python-raw --zeromq* --zmq* --udp --multicast*",
        note="portico speaks HTTP, uwsgi, FastCGI and SCGI",
    ),
    Instead(
        "--fastrouter* --rawrouter* --subscri* --st --unsubscribe-* --start-unsubscribed --weight "
        "--auto-weight --zerg* --legion*",
        note=_ROUTER,
    ),
)

_APPLICATION: tuple[OldWord, ...] = (
    Part("--module --wsgi MODULE", "application", note="`APP`, as in `portico run shop.wsgi:application`"),
    Part("--wsgi-file --file FILE", "application", note="`APP`, as in `portico run shop/wsgi.py`"),
    Part("--callable NAME", "callable", note="a part of `APP`, as in `shop.wsgi:NAME`"),
    Clash(
        "-w MODULE",
        note="`-w` is how many workers there are; the module is APP, as in `portico run "
        "shop.wsgi:application`",
        meant=_is_module,
    ),
    Same("--chdir DIR"),
    Instead("--chdir2 --force-cwd DIR", note="`--chdir` is the only directory to work in"),
    Same("--pythonpath DIR"),
    Becomes("--python-path --pp DIR", "--pythonpath"),
    Instead(
        "-H --home --virtualenv --venv --pyhome DIR",
        note="install portico into that environment, and start its bin/portico; `venv` of an `[[app]]` "
        "in portico.toml",
    ),
    Same("--env NAME=VALUE"),
    Instead("--envdir --early-envdir DIR", note="EnvironmentFile= of systemd, or `envdir` before portico"),
    Instead("--unenv NAME", note="UnsetEnvironment= of systemd, or `env -u NAME` before portico"),
    Instead("--mode NAME", note="tell the application by `--env`"),
    Instead("--reload-os-env", note="not needed: the environment of a process is not changed by requests"),
    Instead("--mount --worker-mount PATH=APP", note="`--script-name PATH` says where APP is mounted"),
    Instead(
        "--manage-script-name",
        note="not needed: SCRIPT_NAME and PATH_INFO are right under `--script-name`",
    ),
    Instead("--ignore-script-name", note="do not let the reverse proxy set SCRIPT_NAME"),
    Instead("--need-app --no-default-app", note="not needed: without its application portico does not start"),
    Instead(
        "--lazy --lazy-apps",
        note="not needed: each worker imports the application itself without `--preload`",
    ),
    Instead("-i --single-interpreter", note="not needed: each worker has one interpreter"),
    Instead("-T --enable-threads", note="not needed: threads of the application always run"),
    Instead(
        "--vhost* --max-apps", note="one portico serves one application; the reverse proxy tells hosts apart"
    ),
    Instead(
        "--paste FILE",
        note='write a module with `application = paste.deploy.loadapp("config:FILE")`, and name it as APP',
    ),
    Instead(
        "--ini-paste* --paste-logger",
        note="write a module with `application = paste.deploy.loadapp(...)`, and name it as APP",
    ),
    Instead(
        "--pecan FILE",
        note='write a module with `application = pecan.deploy.deploy("FILE")`, and name it as APP',
    ),
    Instead(
        "--pymodule-alias --post-pymodule-alias NAME=MODULE",
        note="set it in `sys.modules` at the top of the application's module",
    ),
    Instead("--eval CODE", note="write a module, and name it as APP"),
    Instead(
        "--import --pyimport --py-import --python-import MODULE",
        note="import it in the application's module",
    ),
    Instead("--shared-import* --shared-py*", note="import it in the application's module"),
    Instead("-J --test MODULE", note="use `portico check`"),
    Instead("--pyargv TEXT", note="`sys.argv` is portico's own; tell the application by `--env`"),
    Instead(
        "--pyshell* --pyrun --python --py --python-worker-override --worker-exec* SCRIPT",
        note="use Python itself",
    ),
    Instead("-O --optimize LEVEL", note=_INTERPRETER),
    Instead("--no-site", note=_INTERPRETER),
    Instead("--py-programname --py-program-name --py-executable --py-sys-executable NAME", note=_INTERPRETER),
    Instead(
        "--py-call-osafterfork --py-call-uwsgi-fork-hooks",
        note="not needed: what os.register_at_fork has registered is always called (docs/operations.md)",
    ),
    Instead("--python-version", note="use `python --version`"),
    Instead(
        "--plugin* --need-plugin* --autoload --build-plugin --dlopen --symcall* --cgi-mode", note=_PLUGINS
    ),
    Instead(
        "--wsgi-env-* --wsgi-lite --wsgi-strict --wsgi-accept-buffer* --wsgi-disable-file-wrapper "
        "--start_response-nodelay --web3 --pump",
        note="not needed: PEP 3333 is what is served",
    ),
    Clash("--strict", note="`--strict` holds the application to all of PEP 3333", meant=lambda value: False),
    Becomes("--static-map MOUNT=DIR", "--static"),
    Becomes("--static-map2 MOUNT=DIR", "--static MOUNT=DIR/MOUNT", convert=_with_mount),
    *(
        Becomes(
            f"--error-page-{status} FILE",
            f"--error-page {status}=FILE",
            convert=lambda value, status=status: ["--error-page", f"{status}={value}"],  # type: ignore[misc]
        )
        for status in (403, 404, 500)
    ),
    Becomes("--check-static DIR", "--static /=DIR", convert=lambda value: ["--static", f"/={value}"]),
    Instead(
        "--static-* --static-map* --check-static* --mimefile* --mime-file --offload-thread* "
        "--file-serve-mode --fileserve-mode --honour-range --disable-sendfile",
        note=_STATIC,
    ),
    Instead(
        "--add-header --del-header --rem-header --collect-header --pull-header --response-header* --route* "
        "--error-route* --final-route* --response-route* --websocket*",
        note=_ROUTER,
    ),
    Instead("--exception-handler HANDLER", note="tracebacks are in the error log (`--error-log`)"),
    Instead("--catch-exceptions", note="use `portico dev`, which shows tracebacks in the browser"),
)

_PROCESSES: tuple[OldWord, ...] = (
    Same("--workers N"),
    Becomes("--processes N", "--workers"),
    Becomes("-p N", "--workers", meant=str.isdecimal, note="a word that is no number is gunicorn's `-p`"),
    Same("--threads N", note="the default is 8, not 1"),
    Instead("-M --master", note=_ALWAYS_SUPERVISED),
    Instead("--no-orphans --master-as-root --force-gateway", note=_ALWAYS_SUPERVISED),
    Instead(
        "--check-interval --forkbomb-delay S",
        note="not needed: the supervisor hears of a worker's end at once, and backs off while workers leave "
        "at once",
    ),
    Same("-t S"),
    Becomes("--harakiri S", "--timeout"),
    Becomes("--harakiri-graceful-timeout S", "--timeout-grace"),
    Instead("--harakiri-verbose", note=_STACKS),
    Instead(
        "--harakiri-no-arh --no-harakiri-arh --no-harakiri-after-req-hook --harakiri-queue-threshold "
        "--harakiri-graceful*",
        note="`--timeout` counts while a client waits; the other calls of its worker may finish",
    ),
    Instead("--backtrace-depth N", note=_STACKS),
    Instead("--py-tracebacker PATH", note=_STACKS),
    Becomes("--reload-mercy --worker-reload-mercy S", "--graceful-timeout"),
    Becomes("--limit-post BYTES", "--max-request-body"),
    Instead("--post-buffering --post-buffering-bufsize BYTES", note=_WAITS),
    Instead("--body-read-warning MB", note=_WAITS),
    Instead("--upload-progress DIR", note=_ROUTER),
    Instead("--thunder-lock", note="not needed: a new connection wakes one worker"),
    Instead(
        "--die-on-term",
        note="not needed: TERM stops; the requests in flight are finished (docs/signals.md)",
    ),
    Instead("--exit-on-reload", note="not needed: HUP reloads, TERM stops (docs/signals.md)"),
    Instead("--vacuum", note="not needed: the file of a Unix socket is removed at the end"),
    Instead("-d --daemonize --daemonize2 FILE", note=_SYSTEMD),
    Becomes("--pidfile --pidfile2 --safe-pidfile --safe-pidfile2 FILE", "--pid-file"),
    Instead("--stop PIDFILE", note="`portico ctl stop --pid-file PIDFILE` (docs/operations.md)"),
    Instead("--reload PIDFILE", note="`portico ctl reload --pid-file PIDFILE` (docs/operations.md)"),
    Instead(
        "--pause --suspend --resume PIDFILE",
        note="`portico ctl drain` lets all workers leave, `portico ctl scale N` starts new ones "
        "(docs/operations.md)",
    ),
    Becomes("--uid --immediate-uid NAME", "--user"),
    Becomes("--gid --immediate-gid NAME", "--group"),
    Becomes("--no-initgroups", "--groups none"),
    Instead("--add-gid NAME", note="`--groups` with all of them"),
    Instead(
        "--drop-after-init --drop-after-apps",
        note="not needed: each worker becomes `--user` before it imports the application",
    ),
    Same("--umask MODE", note="the mode of a Unix socket is `-b 'unix:PATH?mode=660'`, too"),
    Becomes("--cap LIST", "--capabilities"),
    Instead(
        "--chroot --pivot-root --pivot_root --unshare* --setns* --ns --ns-net --namespace* --cgroup "
        "--cgroup* --jail* --jid* --libjail --refork* --re-fork* --mount-* --umount-* --check-mount* "
        "--mountpoint-check",
        note=_ISOLATION,
    ),
    Becomes("--limit-as MB", "--limit as=MB", convert=lambda value: ["--limit", f"as={value}M"]),
    Becomes("--limit-nproc N", "--limit nproc=N", convert=lambda value: ["--limit", f"nproc={value}"]),
    Becomes("--max-fd N", "--limit nofile=N", convert=lambda value: ["--limit", f"nofile={value}"]),
    Instead("--never-swap --prio --ksm", note="Nice= of systemd, or `nice`"),
    Instead("--cpu-affinity N", note="CPUAffinity= of systemd, or `taskset`; `--workers auto` heeds it"),
    Instead("-r --reaper", note="not needed: the application waits for its own children"),
    Same("--max-requests N", note="the successor is ready before the worker takes no more"),
    Instead("-R N", note="`--max-requests N`"),
    Becomes("--max-requests-delta N", "--max-requests-jitter", note="at random, not by the worker's number"),
    Becomes("--max-worker-lifetime S", "--max-lifetime"),
    Becomes(
        "--max-worker-lifetime-delta S", "--max-lifetime-jitter", note="at random, not by the worker's number"
    ),
    Becomes("--min-worker-lifetime S", "--min-lifetime", note="the default is 1 s, not 60"),
    Becomes("--reload-on-rss MB", "--max-rss", convert=_mebibytes("--max-rss"), note="200 is 200M"),
    Becomes(
        "--evil-reload-on-rss MB",
        "--max-rss-hard",
        convert=_mebibytes("--max-rss-hard"),
        note="200 is 200M; its requests get a second",
    ),
    Instead("--reload-on-* --evil-* --brutal-* --mem-collector-freq", note=_RECYCLE),
    Same("--touch-reload FILE"),
    Becomes("--touch-workers-reload --touch-chain-reload FILE", "--touch-reload"),
    Instead("--touch-* --fs-* --propagate-touch", note=_HUP),
    Instead("--py-autoreload --py-auto-reload --python-autoreload --python-auto-reload S", note=_DEV),
    Instead("--py-auto-reload-ignore --py-autoreload-* MODULE", note=_DEV),
    Instead("--master-fifo PATH", note="`portico ctl` has its commands (docs/operations.md)"),
    Instead("--notify-socket PATH", note="signals do it: HUP, TERM, TTIN, TTOU (docs/signals.md)"),
    Becomes("--cheaper N", "--workers-min", note="`--workers` is how many there are at first, and at most"),
    Becomes(
        "--cheap", "--workers-min 0", note="the first worker starts all the same, and leaves when nobody asks"
    ),
    Becomes(
        "--idle S",
        "--workers-min 0 --idle-timeout S",
        convert=lambda value: ["--workers-min", "0", "--idle-timeout", value],
    ),
    Instead(
        "--die-on-idle",
        note="`--workers-min 0`: the supervisor stays, with no worker until somebody connects",
    ),
    Instead("--cheaper-* --cheap-*", note=_CHEAPER),
    Becomes(
        "--gevent N",
        "--worker gevent --greenlets N",
        convert=lambda value: ["--worker", "gevent", "--greenlets", value],
    ),
    Instead(
        "--gevent-monkey-patch --gevent-early-monkey-patch",
        note="not needed: `--worker gevent` patches before the application is imported",
    ),
    Becomes(
        "--asyncio N",
        "--worker asyncio --greenlets N",
        convert=lambda value: ["--worker", "asyncio", "--greenlets", value],
    ),
    Becomes(
        "--tornado N",
        "--worker tornado --greenlets N",
        convert=lambda value: ["--worker", "tornado", "--greenlets", value],
    ),
    Instead("--greenlet", note="not needed: `--worker asyncio` has greenlets"),
    Instead("--gevent-* --async --ugreen* --loop*", note=_THREADS),
    Instead("--thread-stack* --threads-stack*", note="`ulimit -s`, or LimitSTACK= of systemd"),
    Instead("--no-threads-wait", note="`--graceful-timeout` says how long a worker may finish"),
    Instead("--auto-procname --procname*", note="not needed: processes are named after what they do"),
    Instead("--honour-stdin --pty-*", note="use `portico dev`, whose standard input is the application's"),
    Instead("--hook-* --exec-* --call-*", note=_HOOKS),
    Instead(
        "--after-request-hook --after-request-call FUNCTION",
        note="there are no hooks; a WSGI middleware runs before and after each request",
    ),
    Instead("--skip-atexit*", note="what is registered with atexit runs when a worker leaves"),
    Instead("--skip-zero", note="not needed: a standard input that is closed is /dev/null"),
    Instead("--use-abort", note="not needed: a crash is logged with the stacks of all threads"),
    Instead("--safe-fd --fd-safe N", note="`-b fd://N` takes an inherited socket"),
    Instead(
        "--binary-path --binsh --privileged-binary-patch* --unprivileged-binary-patch* PATH",
        note="start the program that is meant",
    ),
    Instead("--clock* --clocks-list", note="not needed: the clock is the system's"),
    Instead("--pcre-jit", note="not needed: there are no regular expressions"),
    Instead("--close-on-exec*", note="not needed: programs that are started inherit no connection"),
)

_LOGGING: tuple[OldWord, ...] = (
    Becomes("-L --disable-logging", "--access-log off"),
    Instead("--logto --logto2 FILE", note=_LOGS),
    Becomes(
        "--req-logger --logger-req LOGGER",
        "--access-log",
        convert=_request_logger,
        note="`file:PATH`, `stdio`, `syslog:TAG,FACILITY` and `rsyslog:HOST:PORT,TAG`",
    ),
    Instead("--logger LOGGER", note=_LOGS),
    Instead(
        "--log-master* --log-reopen --log-truncate --log-maxsize --log-backupname --logfile-* "
        "--threaded-logger",
        note=_LOGS,
    ),
    Becomes("--log-format --logformat FORMAT", "--access-log-format"),
    Instead("--log-format* --logformat*", note="dates in `--access-log-format` are in UTC"),
    Instead("--logdate --log-date --log-prefix [FORMAT]", note="not needed: each line has its date"),
    Instead(
        "--log-x-forwarded-for",
        note="not needed: the client that a peer of `--forwarded-allow-ips` names is logged",
    ),
    Instead(
        "--log-4xx --log-5xx --log-slow --log-big --log-zero --log-sendfile --log-micros --log-filter "
        "--log-drain --notfound-log",
        note="`--access-log-if` says which requests have a line, as `status >= 500 or total_ms > 200`",
    ),
    Becomes("--log-syslog [TAG]", "--access-log syslog", convert=_syslog, note="for the access log"),
    Becomes("--rsyslog ADDRESS", "--access-log syslog:udp://ADDRESS", convert=_rsyslog),
    Instead("--rsyslog-*", note="not needed: a line is one datagram, and fits in it"),
    Instead(
        "--log-socket* --log-zeromq",
        note="the logs go to standard output and standard error, which systemd's journal or `logger` takes "
        "on",
    ),
    Instead("--log-*", note=_LOGS),
    Instead("--logger-* --loggers-list", note=_LOGS),
    Instead("-m --memory-report", note="systemd or the container measures memory; `ps -o pid,rss` shows it"),
    Becomes(
        "--stats-push --stats-pusher WHERE",
        "--statsd",
        convert=_stats_push,
        note="of `statsd:ADDRESS,PREFIX`; what names become: [run/statsd.md](run/statsd.md)",
    ),
    Becomes("--stats-pusher-default-freq S", "--statsd-interval"),
    Becomes("--dogstatsd-extra-tags TAGS", "--statsd-tags", note="labels are tags, too"),
    Instead(
        "--stats --stats*",
        note="`portico ctl status`, `workers` and `requests` tell it, with --json for programs "
        "(docs/operations.md)",
    ),
    Instead(
        "--snmp* --carbon* --metric* --enable-metrics --rrdtool* --alarm* --backlog-alarm --lq-alarm "
        "--listen-queue-alarm --segfault-alarm --not-log-alarm --not-alarm-log",
        note=_METRICS,
    ),
    Instead(
        "--ping* --nagios --connect-and-read --extract ADDRESS",
        note="use `curl`; what it asks for may be a `--health-path`",
    ),
    Instead("--profiler NAME", note="use `portico profile`, or a profiling middleware"),
    Instead(
        "--ignore-sigpipe --ignore-write-errors --disable-write-exception --write-errors-*",
        note="not needed: a client that leaves is a line with status 499, and no error",
    ),
)

_BESIDE: tuple[OldWord, ...] = (
    Instead("--ini FILE", note=_FILE),
    Instead("-x --xml --xmlconfig FILE", note=_FILE),
    Instead("-y --yaml --yml FILE", note=_FILE),
    Instead("-j --json --js FILE", note=_FILE),
    Same("--config FILE", note="a TOML file"),
    Clash("-c", note="`-c FILE` names a configuration file; there is no CGI mode", meant=lambda value: False),
    Instead("--inherit --include --fallback-config FILE", note=_FILE),
    Instead(
        "-S --set --set-placeholder --set-ph NAME=VALUE",
        note="`${NAME}` in the file is a variable of the environment (docs/configuration.md)",
    ),
    Instead(
        "--for --for-* --endfor --end-for --endif --end-if --if-* --ifenv --ifdir --ifexists --ifplugin "
        "--blacklist --whitelist --end-blacklist --end-whitelist --declare-option* --resolve --inject-* "
        "--file-write --print --iprint --exit",
        note="`${NAME:-default}` in the file is all there is (docs/configuration.md)",
    ),
    Instead("--show-config --get NAME", note="use `portico config`"),
    Instead(
        "--emperor* --early-emperor --vassal* --imperial* --heartbeat --no-server --command-mode",
        note=_EMPEROR,
    ),
    Instead(
        "--attach-daemon* --smart-attach-daemon* --attach-control-daemon --daemons-honour-stdin",
        note="each daemon is a service of its own",
    ),
    Instead("-Q --spooler --spool --spooler* --spool*", note=_TASKS),
    Instead(
        "--mule* --farm* --cron* --cron2 --unique-cron* --unique-legion-cron* --timer* --rbtimer "
        "--signal* --rpc*",
        note=_TASKS,
    ),
    Instead(
        "-A --cache* --add-cache* --check-cache --load-file-in-cache* --queue* --sharedarea --py-sharedarea "
        "--locks --lock-engine --ftok "
        "--persistent-ipcsem",
        note=_CACHE,
    ),
    Instead("--flock* --wait-*", note="ordering is After= and Requires= of systemd"),
    Instead("--usage --dump-options", note="use `portico run --help-all`"),
    Instead(
        "--cflags --dot-h --config-py --print-sym --print-symbol --binary-append-data",
        note="nothing has to be built against portico",
    ),
)

UWSGI = Server("uWSGI", (*_LISTENING, *_APPLICATION, *_PROCESSES, *_LOGGING, *_BESIDE))
