"""portico inside another Python program: the engine without a supervisor, a command line or a configuration
file.

`keywords` reads settings as keyword arguments, `engine` serves on the calling thread, `server` is
`portico.serve` and `portico.running`. `overrides` and `hooks` are what `portico.simple_server` stands on:
what a subclass of the standard library's classes has changed, and how the engine calls it. `demo` is `python
-m portico`.
"""
