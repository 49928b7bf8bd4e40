"""Configuration: `settings` is the one table, made of rows as in `setting`; `sources` fills it in, `check`
holds it against the world.

`units`, `addresses` and `kinds` read single values. Of these only `settings` and what it needs is loaded
in the supervised processes.
"""
