"""The members of upstreams while the server runs: what `portico ctl upstream` has changed, and how they are.

`changes.py` is what was changed, as values; `survey.py` is what the workers say of their members;
`members.py` is both for the supervisor. Imported where a client asks for it, or a supervisor before has left
changes.
"""
