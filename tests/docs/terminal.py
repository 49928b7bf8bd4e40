"""A shell that does what a page shows: commands with what they print, a server in the foreground, Ctrl-C.

What is on a page is compared with what was printed, character by character, but for what differs from run
to run (`_VARYING`) and for what the page leaves out: `...` in a line is a part of it, as a line of its own
any number of lines. A command for which the page shows nothing may print what it likes.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.pages import Part
from support.waiting import wait_until

_DEADLINE_S = 60.0
STAYS = "ready in "
"""A command that prints it is a server; the next `^C` is for it."""

# A network without anybody else, so that a page can say 8000. Where that is not allowed, it is the machine's.
_ISOLATED = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")

_VARYING = [
    (re.compile(pattern, re.MULTILINE), shown)
    for pattern, shown in (
        (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+\d{4}\b", "DATE"),
        (r"\b\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+\d{4}\b", "DATE"),
        (r"^Date: .*$", "Date: DATE"),
        (r"\[\d+\] \[", "[PID] ["),
        (r"\bpid \d+", "pid PID"),
        (r"\b(in|for) [\d.]+ ?s\b", r"\1 TIME"),
        (r" \d+\.\d{6}$", " TIME"),
        # A line of `portico dev`: in columns on a terminal, and with a duration.
        (r"^\d\d:\d\d:\d\d (\S+) +(\S+) +(\d{3}) +(\S+) +[\d.]+ m?s$", r"CLOCK \1 \2 \3 \4 TIME"),
        (r"\b\d+ workers? x", "N workers x"),
        (r"\(\d+ CPUs? allowed by [^)]*\)", "(CPUS)"),
        (r"\bportico \d+\.\d+\.\d+\S*", "portico VERSION"),
        (r"\bportico_server-[\d.]+\S*|\bportico-server-\d\S*", "portico-server-VERSION"),
        (r"\bcurl/[\d.]+", "curl/VERSION"),
        (r"\bdur=[\d.]+", "dur=TIME"),
        (r"\b[0-9a-f]{32}\b", "HEX"),
        (r"[ \t\r]+$", ""),
    )
]


class Terminal:
    """A shell in `folder`, which is left with everything that it has started."""

    def __init__(self, folder: Path, state: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._state = state
        self._count = 0
        self._exit_code = 0
        self._server: Server | None = None
        self._shell = subprocess.Popen(
            [*_network(), "bash", "--noprofile", "--norc"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._type("set -m")

    def do(self, part: Part, *, may_fail: bool = False) -> None:
        """Do what was typed, and assert that what is printed is what is shown."""
        if part.typed == "^C":
            self._interrupt(part.printed)
        elif not part.typed:
            assert self._server, f"no server is there that could print {part.printed!r}"
            self._server.expect(part.printed)
        elif STAYS in part.printed:
            self._serve(part)
        else:
            self._run(part, may_fail=may_fail)

    def close(self) -> str:
        """End all; return the server that was left running, which is empty if the page has stopped it."""
        left = self._server.command if self._server else ""
        if self._server:
            os.killpg(self._server.pid, signal.SIGKILL)
        os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.communicate()
        return left

    def _run(self, part: Part, *, may_fail: bool) -> None:
        output = self._new_path()
        self._type(f"(exit {self._exit_code})")  # what the page's own `$?` is
        self._type(f"{{ {part.typed}\n}} > {output} 2>&1 < /dev/null")
        self._exit_code = self._value_of("$?")
        said = normalised(output.read_text())
        assert may_fail or self._exit_code == 0, f"$ {part.typed}\n{said}ended with {self._exit_code}"
        if part.printed:
            found = pattern_of(part.printed).fullmatch(said)
            assert found, f"$ {part.typed}\n{said}but the page shows\n{part.printed}"

    def _serve(self, part: Part) -> None:
        assert self._server is None, f"$ {part.typed}\n{self._server and self._server.command} still runs"
        output = self._new_path()
        output.touch()
        self._type(f"{part.typed} > {output} 2>&1 < /dev/null &")
        self._server = Server(part.typed, self._value_of("$!"), output)
        self._server.expect(part.printed)

    def _interrupt(self, printed: str) -> None:
        assert self._server, "^C without a server"
        server, self._server = self._server, None
        os.killpg(server.pid, signal.SIGINT)
        self._type(f"wait {server.pid}")
        self._exit_code = self._value_of("$?")
        assert self._exit_code == 0, f"$ {server.command}\n{server.said()}ended with {self._exit_code}"
        server.expect(printed.removeprefix("\n"))

    def _value_of(self, variable: str) -> int:
        """The value of a variable, once the shell has come so far."""
        path = self._new_path()
        self._type(f"echo {variable} > {path}~; mv {path}~ {path}")
        wait_until(path.exists, what="the shell", deadline_s=_DEADLINE_S)
        return int(path.read_text())

    def _type(self, line: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{line}\n")
        self._shell.stdin.flush()

    def _new_path(self) -> Path:
        self._count += 1
        return self._state / str(self._count)


class Server:
    """A command that stays, and what of its output the page has shown."""

    def __init__(self, command: str, pid: int, output: Path) -> None:
        self.command = command
        self.pid = pid
        self._output = output
        self._shown = ""

    def said(self) -> str:
        return normalised(self._output.read_text())

    def expect(self, printed: str) -> None:
        """Wait until it prints so: from its first line on, later after anything else."""
        self._shown += f"{printed if not self._shown else f'...{chr(10)}{printed}'}"
        shown = pattern_of(self._shown)
        try:
            wait_until(lambda: shown.match(self.said()), what="what the page shows")
        except AssertionError:
            raise AssertionError(
                f"$ {self.command}\n{self.said()}but the page shows\n{self._shown}"
            ) from None


def normalised(text: str) -> str:
    """`text`, in whole lines, without what differs from run to run."""
    for pattern, shown in _VARYING:
        text = pattern.sub(shown, text)
    return text if not text or text.endswith("\n") else f"{text}\n"


def pattern_of(shown: str) -> re.Pattern[str]:
    """What matches the output that a page shows."""
    lines = []
    for line in normalised(shown).splitlines():
        anything = "[^\n]*".join(map(re.escape, line.split("...")))
        lines.append("(?:.*\n)*?" if line == "..." else f"{anything}\n")
    return re.compile("".join(lines))


def _network() -> tuple[str, ...]:
    if shutil.which("unshare") is None:
        return ()
    return _ISOLATED if subprocess.run([*_ISOLATED, "true"], capture_output=True).returncode == 0 else ()
