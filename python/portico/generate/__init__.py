"""`portico generate`: configurations of other programs, made of the settings that `portico run` would take.

A module for each target (`nginx`, `apache`, `haproxy`, `systemd`, `dockerfile`, `k8s`) receives a
`Deployment` and hands on the text of files; it opens nothing and starts nothing. What they share:
`deployment` (what is asked for), `upstream` (which address a reverse proxy uses, and whom portico has to
believe for that), `container` (what is different in one), `times` (times that agree with ours), `command`
(the command line again), `head` and `layout` (how text is put together) and `output` (the only module that
writes).

Imported by the command `generate` alone: never by `portico run`, and never in a supervised process.
"""
