"""What `portico` has, as type checkers see it: the last two are loaded when they are first named."""

from portico.embedding.server import running as running
from portico.embedding.server import serve as serve

__all__ = ["__version__", "running", "serve"]

__version__: str
