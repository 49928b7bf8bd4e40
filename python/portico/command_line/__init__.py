"""How a command line is read, whichever the command.

`group` finds the command that is meant; `settings_command` is one that takes all settings, `options` are the
rows of the table as it takes them, and `settings_help` is what it shows of them; `given` makes `Settings` of
what was given, whose names beside the settings are in `parameters`. Here and in `commands` is all that click
does for portico.

Most starts are of a command line that `plain` reads: `start` is then all that is needed of it, without click.
"""
