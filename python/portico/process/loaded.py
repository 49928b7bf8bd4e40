"""An application that was loaded, as it is served."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.config.settings import Settings
    from portico.types import EngineRouting, EventLoop, WSGIApplication


class Loaded:
    """What is served.

    `application` is called, `name` is its full name. `innermost` is what that names, without the middleware
    of the configuration and whatever else is around it. `routing` has the others, where there are several,
    and `title` names all. `settings` are those to serve with, where the application has a part in them.
    `event_loop` is what its calls are on, if not threads: the application was imported for that.
    """

    __slots__ = (
        "application",
        "event_loop",
        "has_middleware",
        "innermost",
        "name",
        "routing",
        "settings",
        "title",
    )

    def __init__(self, application: WSGIApplication, name: str) -> None:
        self.application = self.innermost = application
        self.name = self.title = name
        self.has_middleware = False
        self.routing: EngineRouting | None = None
        self.settings: Settings | None = None
        self.event_loop: EventLoop | None = None
