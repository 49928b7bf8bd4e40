"""What a machine calls itself, and nobody else."""

from __future__ import annotations


def is_loopback(host: str) -> bool:
    """Say whether `host` is a name or an address that leads to this machine alone; `[::1]` has brackets."""
    parts = host.split(".")
    is_ipv4 = len(parts) == 4 and all(part.isascii() and part.isdigit() for part in parts)
    return (is_ipv4 and parts[0] == "127") or host.lower() in ("localhost", "::1", "[::1]")
