"""What a server's life costs its clients: a load that counts every request, and events that happen meanwhile.

`load.py` (and `load.c`, which sends) is the load, used by tests/process too; `servers.py` are the servers and
what they understand, `running.py` one that runs, `events.py` what happens to it, `compare.py` the table.
"""
