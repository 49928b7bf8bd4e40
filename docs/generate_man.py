"""Prints docs/portico.1, the manual page; `make docs` writes it, a test keeps it true."""

from __future__ import annotations

from portico.commands.all import commands
from portico.commands.man import manual_page

if __name__ == "__main__":
    print(manual_page(commands), end="")
