"""Who can come to an address: those on this machine, or others as well."""

from __future__ import annotations

from portico.admin.loopback import is_loopback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.config.address import Address


def is_reached_from_elsewhere(address: Address) -> bool:
    """Say whether clients on other machines may come to `address`, as far as it says."""
    return bool(address.host) and not is_loopback(address.host)
