"""One test or more for each numbered thing that PEP 3333 asks of a server."""
