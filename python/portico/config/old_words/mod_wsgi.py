"""What Apache's configuration says to mod_wsgi (5), and the options of mod_wsgi-express.

A directive is a row without a word of a command line: nobody types it, and docs/moving.md alone has it.
"""

from __future__ import annotations

from portico.config.old_words.word import Becomes, Clash, Instead, OldWord, Part, Same, Server

_SYSTEMD = "run it under systemd: `portico generate systemd` prints the units"
_USER = "`--user`, `--group` and `--groups`, for the workers; the supervisor stays root"
_RECYCLE = (
    "workers are not replaced by count, age or size; HUP replaces them without losing a request, for example "
    "from a timer of systemd, and MemoryHigh= or the container bounds their memory"
)
_HUP = "send the supervisor HUP (`systemctl reload`): workers are replaced without losing a request"
_DEV = "use `portico dev`, which reloads when a file changes and shows tracebacks in the browser"
_HOME = "install portico into that environment, and start its bin/portico"
_OWN_SERVICE = "each application is a service of its own: `portico generate systemd` prints one"
_INTERPRETER = "not needed: each worker has one interpreter, the main one, in which every C extension works"
_CHUNKED = "not needed: chunked bodies are received by themselves"
_STATIC = "`--static /static=DIR` serves files, by the rules of docs/static.md"
_PROXY = "the reverse proxy does it; `portico generate apache` prints one"
_APACHE = "not needed: portico needs no Apache, and one that stands in front keeps its own configuration"
_TLS = "TLS ends at a reverse proxy, for example that of `portico generate apache`"
_AUTHENTICATION = (
    "the application does it, or the reverse proxy, which says REMOTE_USER over uwsgi, FastCGI and SCGI "
    "(docs/environ.md)"
)
_FORWARDED = (
    "Forwarded and X-Forwarded-* of `--forwarded-allow-ips` are believed; let the reverse proxy remove those "
    "that it does not set"
)
_LOCALE = "Environment=LC_ALL=NAME of systemd, or ENV of a Dockerfile"
_FINISH = "`--graceful-timeout` says how long a worker may finish, at a reload and at a stop"
_DEADLOCK = "not needed: a worker whose interpreter does not come free for `--timeout` is replaced"
_STARTUP = "not needed: an import that takes long is logged, with the line that it waits in"
_SLOW = "`--body-timeout` and `--write-timeout` say how slow a peer may be"
_NO_HOP = "not needed: the workers speak with clients themselves, and no process stands in between"
_BUFFERS = "not needed: the system chooses them"
_COVERAGE = "use coverage.py, py-spy, or Profile of portico.middleware (docs/middleware.md)"
_EGGS = "PYTHON_EGG_CACHE in the environment"
_HEAD_IS_HEAD = "not needed: HEAD is HEAD; a body that the application sends is left out"
_SPARE = "not needed: there always are as many workers as `--workers` says"
_LIMITS = "`--limit as=SIZE` and other limits of setrlimit(2); MemoryMax=, Nice= of systemd"
_STATS = "there is no stats server; the access log has the status, size and duration of each request"
_NEW_RELIC = "start it with `newrelic-admin run-program portico run`"
_LOGS = (
    "`--access-log FILE` is for requests, `--error-log FILE` for all else; rotation is logrotate's, with "
    "USR1 after it"
)
_HEAD = "not needed: `--head-timeout` bounds a whole head, however fast it comes"


def _mount(value: str) -> list[str]:
    # "/" is where every application is.
    return ["--script-name", f"/{value.strip('/')}"] if value.strip("/") else []


def _directive(names: str, note: str) -> OldWord:
    """Return the row of directives, of which Apache reads the values."""
    return Instead("", key=names, note=note)


def _of_daemon(options: str, note: str) -> OldWord:
    """Return the row of options of WSGIDaemonProcess, `NAME=VALUE NAME=VALUE`."""
    return _directive(", ".join(f"WSGIDaemonProcess {option}" for option in options.split()), note)


_DIRECTIVES: tuple[OldWord, ...] = (
    _directive(
        "WSGIScriptAlias PATH FILE, WSGIScriptAliasMatch",
        "`APP`, which may be such a file, as in `portico run /srv/shop/shop.wsgi`; for a path that is not "
        "`/`, `--script-name PATH`; how Apache passes requests on, `portico generate apache` prints",
    ),
    _directive("WSGICallableObject NAME", "a part of `APP`, as in `/srv/shop/shop.wsgi:NAME`"),
    _directive("WSGIDaemonProcess NAME", f"what `portico run` starts; {_OWN_SERVICE}"),
    _of_daemon("processes=N", "`--workers N`; the default is one for each CPU, not 1"),
    _of_daemon("threads=N", "`--threads N`; the default is 8, not 15"),
    _of_daemon("python-home=DIR", _HOME),
    _of_daemon("python-path=DIR:DIR", "`--pythonpath DIR`, once for each directory"),
    _of_daemon("home=DIR", "`--chdir DIR`, which is importable, too"),
    _of_daemon("user=NAME group=NAME supplementary-groups=NAMES", _USER),
    _of_daemon("script-user=NAME script-group=NAME", "not needed: no owner of a file decides who runs it"),
    _of_daemon("maximum-requests=N", _RECYCLE),
    _of_daemon("restart-interval=S inactivity-timeout=S cpu-time-limit=S", _RECYCLE),
    _of_daemon(
        "request-timeout=S",
        "`--timeout S`, of each call; the other calls of its worker may finish (docs/signals.md)",
    ),
    _of_daemon("graceful-timeout=S", "`--graceful-timeout S`, at a stop, too"),
    _of_daemon("shutdown-timeout=S eviction-timeout=S", _FINISH),
    _of_daemon("queue-timeout=S", "`--queue-timeout S`; the response is a 503"),
    _of_daemon("deadlock-timeout=S interrupt-timeout=S", _DEADLOCK),
    _of_daemon("startup-timeout=S", _STARTUP),
    _of_daemon("connect-timeout=S header-buffer-size=BYTES socket-rotation=On", _NO_HOP),
    _of_daemon("socket-timeout=S response-socket-timeout=S", _SLOW),
    _of_daemon("socket-user=NAME", "an option of the address: `-b 'unix:PATH?owner=NAME'`"),
    _of_daemon("listen-backlog=N", "`--backlog N`"),
    _of_daemon("response-buffer-size=BYTES", "`--response-memory BYTES`, `--response-spool BYTES`"),
    _of_daemon("receive-buffer-size=BYTES send-buffer-size=BYTES", _BUFFERS),
    _of_daemon("lang=NAME locale=NAME", _LOCALE),
    _of_daemon("umask=MODE", "`--umask MODE`"),
    _of_daemon("display-name=NAME", "`--name NAME`; processes are named without it, too"),
    _of_daemon("memory-limit=BYTES virtual-memory-limit=BYTES cpu-priority=N", _LIMITS),
    _of_daemon("stack-size=BYTES", "`--limit stack=BYTES`"),
    _of_daemon("chroot=DIR", "RootDirectory= of systemd, or a container"),
    _of_daemon("python-eggs=DIR", _EGGS),
    _of_daemon("server-metrics=On", _STATS),
    _directive("WSGIProcessGroup NAME, WSGIRestrictProcess", _OWN_SERVICE),
    _directive("WSGIApplicationGroup NAME, WSGIRestrictEmbedded, WSGILazyInitialization", _INTERPRETER),
    _directive("WSGIDestroyInterpreter, WSGIPerInterpreterGIL", _INTERPRETER),
    _directive(
        "WSGIPassAuthorization On",
        "not needed: Authorization is HTTP_AUTHORIZATION, as any header is; what Apache needs for that over "
        "uwsgi, FastCGI and SCGI stands in what `portico generate apache` prints",
    ),
    _directive("WSGIChunkedRequest On", _CHUNKED),
    _directive("WSGIScriptReloading, touch FILE.wsgi", f"{_HUP}; while you write, use `portico dev`"),
    _directive(
        "SetEnv NAME VALUE, PassEnv NAME",
        "`--env NAME=VALUE` is in os.environ, not in environ; over uwsgi, FastCGI and SCGI Apache's own "
        "still get into environ (docs/environ.md)",
    ),
    _directive("WSGIPythonHome DIR", _HOME),
    _directive("WSGIPythonPath DIR:DIR", "`--pythonpath DIR`, once for each directory"),
    _directive("WSGIPythonEggs DIR", _EGGS),
    _directive(
        "WSGIPythonOptimize, WSGIPythonWarnings, WSGIDontWriteBytecode, WSGIPythonHashSeed",
        "PYTHONOPTIMIZE, PYTHONWARNINGS, PYTHONDONTWRITEBYTECODE, PYTHONHASHSEED in the environment, as with "
        "any Python",
    ),
    _directive("WSGISwitchInterval", "`sys.setswitchinterval` at the top of the application's module"),
    _directive("WSGIImportScript FILE", "not needed: each worker imports the application before it serves"),
    _directive(
        "WSGIHandlerScript, WSGIDispatchScript FILE",
        f"DispatcherMiddleware (docs/middleware.md), or {_PROXY}",
    ),
    _directive("WSGIAuthUserScript, WSGIAuthGroupScript, WSGIAccessScript", _AUTHENTICATION),
    _directive("WSGITrustedProxies ADDRESSES", "`--forwarded-allow-ips ADDRESS`, which may be repeated"),
    _directive("WSGITrustedProxyHeaders NAMES", _FORWARDED),
    _directive(
        "WSGIEnableSendfile On", "not needed: `wsgi.file_wrapper` sends plain files by sendfile by itself"
    ),
    _directive("WSGIErrorOverride On", _PROXY),
    _directive("WSGIMapHEADToGET", _HEAD_IS_HEAD),
    _directive("WSGIIgnoreActivity, WSGIServerMetrics", _STATS),
    _directive(
        "WSGIRestrictStdin, WSGIRestrictStdout, WSGIRestrictSignal",
        "not needed: an application may print and set handlers of signals (docs/signals.md)",
    ),
    _directive(
        "WSGISocketPrefix PATH, WSGISocketRotation, WSGIAcceptMutex, WSGICaseSensitivity",
        "not needed: `-b` says where portico listens",
    ),
    _directive("WSGIVerboseDebugging", "`--log-level debug`"),
    _directive("WSGINewRelicConfigFile, WSGINewRelicEnvironment", _NEW_RELIC),
)

_EXPRESS: tuple[OldWord, ...] = (
    Part("--host ADDRESS", "host", note="`-b HOST:PORT`; without `--port` it is 8080, not 8000"),
    Part("--port PORT", "port", note="`-b HOST:PORT`; without `--host`, all of IPv4"),
    Part("--entry-point NAME", "application", note="`APP`"),
    Part("--callable-object NAME", "callable", note="a part of `APP`, as in `shop.wsgi:NAME`"),
    Instead(
        "--application-type NAME", note="not needed: `APP` is a module or a file; files are nothing else"
    ),
    Becomes("--processes N", "--workers", note="the default is one for each CPU, not 1"),
    Same("--threads N", note="the default is 8, not 5"),
    Becomes("--working-directory DIR", "--chdir"),
    Becomes("--python-path DIR", "--pythonpath"),
    Becomes("--mount-point PATH", "--script-name PATH", convert=_mount),
    Becomes("--process-name NAME", "--name"),
    Clash(
        "--request-timeout S",
        note="`--request-timeout` is how long a request may take to arrive; `--timeout S` is for calls",
        meant=lambda value: False,
    ),
    Same("--queue-timeout S"),
    Same("--graceful-timeout S", note="at a stop, too"),
    Instead("--shutdown-timeout --eviction-timeout S", note=_FINISH),
    Instead("--deadlock-timeout S", note=_DEADLOCK),
    Instead("--startup-timeout S", note=_STARTUP),
    Instead("--maximum-requests --restart-interval --inactivity-timeout --cpu-time-limit N", note=_RECYCLE),
    Instead("--connect-timeout --daemon-backlog --header-buffer-size N", note=_NO_HOP),
    Instead("--socket-timeout S", note=_SLOW),
    Becomes("--server-backlog N", "--backlog"),
    Instead("--send-buffer-size --receive-buffer-size BYTES", note=_BUFFERS),
    Becomes("--response-buffer-size BYTES", "--response-memory"),
    Instead("--ignore-activity PATH", note=_RECYCLE),
    Becomes("--header-timeout S", "--head-timeout"),
    Instead("--header-max-timeout --header-min-rate N", note=_HEAD),
    Same("--body-timeout S"),
    Instead(
        "--body-max-timeout S", note="`--request-timeout` is how long a whole request may take to arrive"
    ),
    Becomes("--body-min-rate BYTES", "--min-body-rate"),
    Becomes("--limit-request-body BYTES", "--max-request-body"),
    Becomes("--keep-alive-timeout S", "--keep-alive", note="the default is 15 s, not 0"),
    Instead("--initial-workers --minimum-spare-workers --maximum-spare-workers N", note=_SPARE),
    Instead("--max-clients N", note="`--max-connections N` is how many each worker has"),
    Instead("--chunked-request", note=_CHUNKED),
    Becomes("--trust-proxy ADDRESS", "--forwarded-allow-ips"),
    Instead("--trust-proxy-header NAME", note=_FORWARDED),
    Same("--user NAME", note="of the workers; the supervisor stays root"),
    Same("--group NAME"),
    Instead("--reload-on-changes", note=_DEV),
    Instead("--debug-mode --enable-debugger --debugger-startup --enable-recorder --enable-gdb", note=_DEV),
    Instead("--recorder-directory --gdb-executable PATH", note=_DEV),
    Instead(
        "--enable-coverage --enable-profiler",
        note=_COVERAGE,
    ),
    Instead("--coverage-directory --profiler-directory DIR", note=_COVERAGE),
    Instead("--setenv NAME", note="`--env NAME=VALUE` is in os.environ, not in environ"),
    Instead("--passenv NAME", note="not needed: the environment is in os.environ"),
    Instead("--envvars-script FILE", note="EnvironmentFile= of systemd"),
    Instead("--lang --locale NAME", note=_LOCALE),
    Instead("--memory-limit --virtual-memory-limit --cpu-priority N", note=_LIMITS),
    Instead("--url-alias --document-root --directory-index DIR", note=_STATIC),
    Instead("--directory-listing", note=_STATIC),
    Instead("--error-document --proxy-mount-point --proxy-url-alias --proxy-virtual-host VALUE", note=_PROXY),
    Instead("--server-name --server-alias HOST", note=f"{_PROXY} with `--server-name HOST`"),
    Becomes("--compress-responses", "--compress gzip"),
    Instead("--error-override --allow-localhost", note=_PROXY),
    Instead("--https-only --ssl-environment", note=_TLS),
    Instead("--https-port --hsts-policy VALUE", note=_TLS),
    Instead(
        "--ssl-certificate --ssl-certificate-file --ssl-certificate-key-file --ssl-certificate-chain-file "
        "--ssl-ca-certificate-file --ssl-verify-client FILE",
        note=_TLS,
    ),
    Instead(
        "--auth-user-script --auth-group-script --auth-type --auth-group --host-access-script VALUE",
        note=_AUTHENTICATION,
    ),
    Clash(
        "--access-log",
        note="`--access-log FILE` says where it goes; it is on, unless that is `off`",
        # A flag there: what follows is nothing, or the next option.
        meant=lambda value: not value or value.startswith("--"),
    ),
    Same("--log-level LEVEL"),
    Instead("--log-to-terminal", note="not needed: the logs go to standard output and standard error"),
    Instead(
        "--log-directory --access-log-name --error-log-name --startup-log-name --max-log-size "
        "--rotatelogs-executable VALUE",
        note=_LOGS,
    ),
    Becomes("--verbose-debugging", "--log-level debug"),
    Instead("--rotate-logs --startup-log", note=_LOGS),
    Same("--access-log-format FORMAT", note="Apache's own variables, such as `%h`, have names here"),
    Same("--error-log-format FORMAT", note="`text` or `json`; each record has a date, a process and a level"),
    Instead("--setup-only", note=_SYSTEMD),
    Same("--pid-file FILE"),
    Instead(
        "--server-root --httpd-executable --modules-directory --server-mpm --include-file --rewrite-rules "
        "--mime-types --add-handler VALUE",
        note=_APACHE,
    ),
    Instead(
        "--with-php5 --with-cgi", note="portico serves WSGI applications of Python; Apache has the others"
    ),
    Instead("--enable-docs", note="not needed: there is no such page for clients"),
    Instead("--map-head-to-get MODE", note=_HEAD_IS_HEAD),
    Instead("--python-eggs DIR", note=_EGGS),
    Instead("--with-newrelic --with-newrelic-agent --with-newrelic-platform", note=_NEW_RELIC),
    Instead("--newrelic-config-file --newrelic-environment VALUE", note=_NEW_RELIC),
    Instead(
        "--service-script --service-user --service-group --service-log-file NAME",
        note="each daemon is a service of its own",
    ),
    Instead("--server-metrics --server-status", note=_STATS),
)

MOD_WSGI = Server("mod_wsgi", (*_DIRECTIVES, *_EXPRESS))
