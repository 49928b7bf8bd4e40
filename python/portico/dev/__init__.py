"""`portico dev`: one process to develop with, which has a worker with today's code.

    cli -> dev/launch.py -> exec -> dev/loop.py -> fork -> dev/worker.py -> _core.serve

`loop` owns the sockets and looks at files (`changes`, `watching`, `globs`, woken by `notifier`); `worker`
says which files (`modules`, `templates`), and has a page (`error_page`) where the application cannot be
loaded or raises (`application`).
"""
