"""What a reverse proxy says of a client: one header of each kind, all of the same client."""

from __future__ import annotations

FORWARDED_HEADERS = (
    "Forwarded: for=192.0.2.1",
    "X-Forwarded-For: 192.0.2.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: example.org",
    "X-Forwarded-Port: 8443",
    "X-Forwarded-Prefix: /shop",
    "X-Request-Start: t=1700000000.5",
)
