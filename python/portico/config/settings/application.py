"""What is served: the application, where it is found, and what stands around it."""

from __future__ import annotations

from portico.config.kinds import (
    Application,
    Directory,
    EnvironmentVariable,
    Flag,
    Middleware,
    MountPath,
    StaticDirectory,
    StaticDirectoryOrAuto,
)
from portico.config.setting import Group, ManySetting, Setting
from portico.config.values import Values

_APPLICATION = Group("application", "app")


class ApplicationSettings(Values):
    """The rows of the group `application`."""

    __slots__ = ()

    app = Setting(
        "app",
        Application(),
        "",
        positional=True,
        group=_APPLICATION,
        documentation="The application: `pkg.mod:attribute`, or `pkg.mod:factory()`, perhaps with literals "
        "as arguments. A file may stand in place of the module: `src/shop/wsgi.py:app`. Without an "
        "attribute, `application` is taken, or else `app`. Without APP it is looked for in the working "
        "directory: Django's by manage.py or DJANGO_SETTINGS_MODULE, what FLASK_APP names, then app.py and "
        "wsgi.py, of which `app` is taken, or else `application`. More in docs/application.md.",
    )
    factory = Setting(
        "factory",
        Flag(),
        False,
        group=_APPLICATION,
        documentation="Whether APP names a factory, which is called without arguments and returns the "
        "application, as `pkg.mod:factory()` says. Without an attribute, `create_app` is taken, or else "
        "`make_app`.",
    )
    chdir = Setting(
        "chdir",
        Directory(),
        "",
        group=_APPLICATION,
        summary="Work in this directory.",
        documentation="Work in this directory. It is importable, and all other relative paths start from it.",
    )
    pythonpath = ManySetting(
        "pythonpath",
        Directory(),
        (),
        separator=":",
        group=_APPLICATION,
        summary="Import from this directory, too.",
        documentation="A directory to import from, after the working directory. May be repeated.",
    )
    env = ManySetting(
        "env",
        EnvironmentVariable(),
        (),
        separator=",",
        short_flag="-e",
        group=_APPLICATION,
        summary="A variable for the application.",
        documentation="An environment variable for the application. May be repeated.",
    )
    script_name = Setting(
        "script_name",
        MountPath(),
        "",
        key="mount",
        group=_APPLICATION,
        documentation="Where the application is mounted, as SCRIPT_NAME tells it, such as /shop. Requests "
        "below it have it moved from PATH_INFO, others get a 404. A reverse proxy that says SCRIPT_NAME "
        "itself (uwsgi, FastCGI, SCGI) is left alone; an X-Forwarded-Prefix, which it has stripped, stands "
        "before it.",
    )
    static_directories = ManySetting(
        "static",
        StaticDirectoryOrAuto(),
        (),
        separator=":",
        group=_APPLICATION,
        documentation="A directory whose files are served below a path, without the application, such as "
        "/static=public. May be repeated; the longest path counts, which is that of the whole URL, wherever "
        "the application is mounted. What there is no file for, the application is asked for. `auto` is the "
        "directories that the application has itself: Flask's static folders, Django's STATIC_ROOT. More "
        "in docs/static.md.",
    )
    x_sendfile = ManySetting(
        "x_sendfile",
        Directory(),
        (),
        separator=":",
        group=_APPLICATION,
        documentation="A directory whose files the application may send by naming one in X-Sendfile, by its "
        "absolute path, in place of a body. May be repeated. Without it the header goes to the client as any "
        "other. More in docs/static.md.",
    )
    x_accel_redirect = ManySetting(
        "x_accel_redirect",
        StaticDirectory(),
        (),
        separator=":",
        group=_APPLICATION,
        documentation="The same for X-Accel-Redirect, with the path that stands for the directory there, "
        "such as /protected=/srv/shop/media. No URL leads to it. May be repeated. More in docs/static.md.",
    )
    strict = Setting(
        "strict",
        Flag(),
        False,
        group=_APPLICATION,
        documentation="Whether the application is held to all of PEP 3333. Without it, a hop-by-hop header "
        "(such as Connection) that it sends is dropped, and None in place of a body is an empty one, each "
        "with a warning that is given once; with it, they are errors, and the response is a 500.",
    )
    middleware = ManySetting(
        "middleware",
        Middleware(),
        (),
        separator=",",
        group=_APPLICATION,
        documentation="What is put around the application, such as `portico.middleware:RequestID`: a "
        "callable that gets an application and returns one. May be repeated; the first is the outermost. "
        "Each may have arguments, literals as in `MODULE:NAME(argument=1)`; in the file "
        '`{ use = "MODULE:NAME", argument = 1 }` as well. More in docs/middleware.md.',
    )
