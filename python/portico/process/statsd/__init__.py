"""The process that pushes metrics to a StatsD receiver, while a plan has one.

It asks the supervisor for figures as the admin process does (`../admin/question.py`), reads the application's
own metrics in the scoreboard, and sends what is new of both (`portico.admin.statsd`).

`pushes.py` is the supervisor's duty towards it; `pushing.py` is the process as itself, `receiver.py` whom it
sends to, `kept.py` a file in memory with what the receiver has had: that outlives the process, and goes on
over reloads and upgrades. All of it is imported where the setting says so.
"""
