"""The commands of `portico`, one in each file, as `COMMAND`; `portico.cli` has them all.

What only one command needs is imported when it runs: the others, and each `--help`, do without.
"""
