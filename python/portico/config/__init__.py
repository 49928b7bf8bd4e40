"""Configuration: `settings` is the one table, made of rows as in `setting`; `file` reads a configuration
file, `old_words` what is written for other servers, `sources` joins all that says something, `finding` looks
for an application where none is named, `check` holds it against the world.

`units`, `addresses` and `kinds` read single values; `toml_positions` finds where they stand in a file.
`show`, `schema` and `manual` print. Of these only `settings` and what it needs is loaded in the supervised
processes.
"""
