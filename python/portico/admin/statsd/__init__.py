"""Metrics in the line protocol of StatsD, for receivers that sum up what they are sent.

`names.py` says what each family is called there, `ledger.py` keeps what a receiver has had and what it is
owed, `lines.py` writes that as lines, and packs them into datagrams. No sockets and no clock: those are of
the process that pushes (`portico.process.statsd`).
"""
