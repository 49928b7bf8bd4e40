"""Standard input, output and error are there, whoever has started portico: the command line's first step.
Standard error may be given to a file: its last one, and the supervisor's at each reload.

Where one is closed, the next file or socket that is opened would get its number, and what is printed would go
to a client or into a file. Supervisor, workers and the application inherit what is put in its place.
"""

from __future__ import annotations

import os
import sys

from portico.config.standard_output import STANDARD_OUTPUT

_STANDARD_OUTPUT_FD = 1
_STANDARD_ERROR_FD = 2
_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_standard_streams() -> None:
    """Put /dev/null in the place of each of the descriptors 0 to 2 that is closed."""
    for fd, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(fd)
        except OSError:
            # It gets the least number that is free, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, open(fd, mode, closefd=False))  # noqa: SIM115 - as long as the process


def write_errors_to(path: str) -> None:
    """Put the file at `path` in the place of standard error; raises OSError if it cannot be written."""
    if path in STANDARD_OUTPUT:
        os.dup2(_STANDARD_OUTPUT_FD, _STANDARD_ERROR_FD)
        return
    # Here, because most starts leave it where it is.
    from portico.config.log_file import open_log_file

    fd = open_log_file(path)
    try:
        os.dup2(fd, _STANDARD_ERROR_FD)
    finally:
        os.close(fd)
