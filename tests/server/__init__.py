"""The whole server as its clients see it: real sockets, real processes."""
