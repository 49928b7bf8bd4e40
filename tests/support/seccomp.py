"""A kernel that lacks something: system calls that fail, by a filter of the process's own (seccomp(2))."""

from __future__ import annotations

import ctypes
import errno
import platform
import socket
import struct
from collections.abc import Callable

_NUMBERS = {
    "x86_64": {"memfd_create": 319, "socket": 41, "setgroups": 116, "landlock_create_ruleset": 444},
    "aarch64": {"memfd_create": 279, "socket": 198, "setgroups": 159, "landlock_create_ruleset": 444},
}
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
# struct seccomp_data: the number of the call first, its first argument at 16.
_NUMBER_AT, _ARGUMENT_AT = 0, 16


def without_memfd() -> Callable[[], None]:
    """Return what a child does before its exec so that memfd_create(2) fails, as under a strict profile."""
    return _filter("memfd_create", error=errno.EPERM)


def without_ipv6() -> Callable[[], None]:
    """Return what a child does before its exec so that the kernel has no IPv6."""
    return _filter("socket", argument=socket.AF_INET6, error=errno.EAFNOSUPPORT)


def without_setgroups() -> Callable[[], None]:
    """Return what a child does before its exec so that setgroups(2) is refused, as in some containers."""
    return _filter("setgroups", error=errno.EPERM)


def without_landlock() -> Callable[[], None]:
    """Return what a child does before its exec so that the kernel has no Landlock."""
    return _filter("landlock_create_ruleset", error=errno.ENOSYS)


def _filter(call: str, *, error: int, argument: int | None = None) -> Callable[[], None]:
    number = _NUMBERS[platform.machine()][call]
    fail = (_RETURN, 0, 0, _FAIL | error)
    program = [(_LOAD, 0, 0, _NUMBER_AT)]
    if argument is None:
        program += [(_JUMP_IF_EQUAL, 0, 1, number), fail]
    else:
        program += [(_JUMP_IF_EQUAL, 0, 3, number), (_LOAD, 0, 0, _ARGUMENT_AT)]
        program += [(_JUMP_IF_EQUAL, 0, 1, argument), fail]
    program.append((_RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def install() -> None:
        if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(
            _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_void_p(ctypes.addressof(head)), 0, 0
        ):
            raise OSError(ctypes.get_errno(), "seccomp", code)

    return install
