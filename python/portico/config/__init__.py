"""Configuration: `settings` is the one table, made of rows as in `setting`; `file` reads a configuration
file, `sources` joins all that says something, `check` holds it against the world.

`units`, `addresses` and `kinds` read single values; `toml_positions` finds where they stand in a file. `show`
and `schema` print. Of these only `settings` and what it needs is loaded in the supervised processes.
"""
