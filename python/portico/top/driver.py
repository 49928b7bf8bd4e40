"""How the screen reads the keyboard: as Textual does, but for bytes that are no UTF-8, which are no key."""

from __future__ import annotations

from textual.drivers.linux_driver import LinuxDriver


class TerminalDriver(LinuxDriver):
    """Textual's for a terminal, whose thread such a byte would end, and the program with it."""

    def run_input_thread(self) -> None:
        """Read keys until the end of the program."""
        while True:
            try:
                return super().run_input_thread()
            except UnicodeDecodeError:
                # What was read with it has gone, too.
                continue
