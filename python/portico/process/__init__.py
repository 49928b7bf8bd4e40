"""The processes: one supervisor that binds, forks and watches, and workers that serve.

In the order of a start: `launch` (command line: bind, then become the supervisor by exec), `sockets`, `cpus`,
`plan` (what crosses the exec), `__main__` (the supervisor's first line), `supervisor` with `signals`,
`worker_handle` and `messages`, `banner`, and `worker`.
"""
