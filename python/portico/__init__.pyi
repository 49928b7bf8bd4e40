"""What `portico` has, as type checkers see it: the last three are loaded when they are first named."""

from portico.deadlines import RequestTimeout as RequestTimeout
from portico.embedding.server import running as running
from portico.embedding.server import serve as serve

__all__ = ["RequestTimeout", "__version__", "running", "serve"]

__version__: str
