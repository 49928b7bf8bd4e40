"""`--open`: the browser, once it has something to show. In a process of its own, started by the loop."""

from __future__ import annotations

import os
import sys

from portico import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portico.process.plan import Listener

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def open_browser(listeners: Sequence[Listener], mount: str) -> None:
    """Show what is served at `mount`, in the browser that the module `webbrowser` finds."""
    url = url_of(listeners, mount)
    if not url:
        log.warning("there is nothing for a browser to open: no address is one of HTTP over TCP")
        return
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    # Not by its name (-m): the working directory may have a module that is called so, too.
    program = (
        "import sys; sys.path = [path for path in sys.path if path]; "
        "import webbrowser; webbrowser.open(sys.argv[1])"
    )
    os.posix_spawn(sys.executable, [sys.executable, "-c", program, url], os.environ, file_actions=actions)


def url_of(listeners: Sequence[Listener], mount: str) -> str:
    """Return the address of the first listener that a browser can reach, or an empty text."""
    for listener in listeners:
        address = listener.address
        if address.scheme == "http" and not address.path and not address.is_inherited and not address.proxy:
            host = _ANY_ADDRESS.get(address.host, address.host)
            return f"http://{f'[{host}]' if ':' in host else host}:{address.port}{mount}/"
    return ""
