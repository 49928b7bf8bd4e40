"""`portico ctl`: asks a server that runs, over its control socket (portico/process/control).

`instances.py` finds the server that is meant, `connection.py` asks it, `pools.py` its pools, `words.py` says
what came of it. Runs in a process of the command line only.
"""
