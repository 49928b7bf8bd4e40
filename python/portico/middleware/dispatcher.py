"""Several applications behind one: a request goes to the one that is mounted at the beginning of its path.

Receives the path in `PATH_INFO`; hands on what the mount has of it in `SCRIPT_NAME` and the rest in
`PATH_INFO` (PEP 3333 "environ Variables"), so that a mounted application builds right URLs. Runs in the
calling thread.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portico.types import Environ, StartResponse, WSGIApplication


class DispatcherMiddleware:
    """An application that hands each request to the application mounted at the longest beginning of its path.

    `app` gets the requests that belong to no mount. `mounts` has an application for each path, whole segments
    without a slash at the end (`/api` has `/api` and `/api/users`, not `/apis`); it is looked at for each
    request, so it may be changed later. As Werkzeug's.

        application = DispatcherMiddleware(shop, {"/api": api, "/admin": admin})
    """

    def __init__(self, app: WSGIApplication, mounts: dict[str, WSGIApplication] | None = None) -> None:
        self.app = app
        self.mounts = {} if mounts is None else mounts

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Call the application that the path of the request belongs to."""
        path: str = environ.get("PATH_INFO", "")
        mount = path
        while mount and mount not in self.mounts:
            mount = mount.rpartition("/")[0]
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + mount
        environ["PATH_INFO"] = path[len(mount) :]
        return self.mounts.get(mount, self.app)(environ, start_response)
