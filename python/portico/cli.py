"""The command line: argv to settings to the supervisor, nothing else. Where all commands begin.

Each command is a file of commands/. Those that take settings have them as options, which are generated from
the table; their texts are read by config/sources.py, together with the environment's and the file's, so that
a bad value is reported alike wherever it came from. Options of other servers are put into our words first
(config/old_words). A `portico run` with nothing unusual does without all these (command_line/plain.py).
"""

from __future__ import annotations

import gc
import os
import sys

from portico import log
from portico.errors import EXIT_UNEXPECTED, OperatorError, reason_of
from portico.process.standard_streams import open_standard_streams


def main() -> None:
    """Entry point of `portico` and of `python -m portico`."""
    try:
        open_standard_streams()
        # What a start makes is kept until the exec, so that a collection would find nothing.
        gc.disable()
        from portico.command_line.plain import read_plain

        values = read_plain(sys.argv[1:], os.environ)
        if values is None:
            gc.enable()
            # Here, because it takes longer than a whole start.
            from portico.commands.all import commands

            commands.main(prog_name="portico")
        else:
            from portico.command_line.start import start

            start(values)
    except OperatorError as error:
        log.say(error.message)
        sys.exit(error.exit_code)
    except OSError as error:
        log.say(reason_of(error))
        sys.exit(EXIT_UNEXPECTED)
    except KeyboardInterrupt:
        # The same as the parser of options says; the blank line ends the terminal's ^C.
        sys.exit("\nAborted!")
