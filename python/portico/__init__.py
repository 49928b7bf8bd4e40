"""portico, a WSGI application server. This module holds the version and costs nothing to import."""

__version__ = "0.1.0"
