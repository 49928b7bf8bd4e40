"""`portico check` of a server that has pools: of each in a process of its own, perhaps in another Python.

Runs in the process of the command line.
"""

from __future__ import annotations

import subprocess

from portico.config.check import left_out
from portico.config.pools import router_settings
from portico.config.settings import Settings
from portico.errors import EXIT_APPLICATION, EXIT_FINE, EXIT_USAGE, OperatorError
from portico.process.invocation import this_invocation
from portico.process.trial import try_out


def try_pools(settings: Settings) -> list[str]:
    """Return what was found to be fine, a sentence each; raises OperatorError with what was not, of all."""
    assert settings.pools is not None, "called where there are pools"
    fine, wrong, codes = [], [], []
    try:
        fine += try_out(router_settings(settings))
    except OperatorError as error:
        wrong.append(error.message)
        codes.append(error.exit_code)
    for record in settings.pools["pools"]:
        name = record["name"]
        done = subprocess.run(
            [*this_invocation().command, "--pool", name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            check=False,
        )
        if done.returncode == EXIT_FINE:
            fine += (f"pool {name}: {line}" for line in done.stdout.splitlines())
        else:
            wrong.append(f"pool {name}: {done.stderr.strip().removeprefix('portico: ')}")
            codes.append(done.returncode)
    for sentence in left_out(settings):
        wrong.append(sentence)
        codes.append(EXIT_USAGE)
    if wrong:
        code = EXIT_APPLICATION if codes[0] == EXIT_APPLICATION else EXIT_USAGE
        raise OperatorError("\n".join(wrong), exit_code=code)
    return fine
