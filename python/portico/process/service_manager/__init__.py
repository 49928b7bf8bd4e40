"""What the service manager is told, by the protocol of systemd (sd_notify(3)), where NOTIFY_SOCKET names it.

Duties of the supervisor: `states.py` says where it is in its life, with figures; `watchdog.py` that workers
make progress; `descriptor_store.py` gives it the listening sockets to keep through a restart. They look at
the `service.py`, and send by the `notify_socket.py`; `opening.py` makes them. `stored_sockets.py` is for the
next start, and runs in the process of the command line.

Imported only where there is a service manager to tell: what is here would be in every worker's memory.
"""
