"""What the kernel says of a thread that does not go on: where it waits, whatever the interpreter does.

Of a worker, which is the supervisor's child: others may not look.
"""

from __future__ import annotations

_STATES = {"R": "running", "S": "sleeping", "D": "in an uninterruptible wait", "T": "stopped", "t": "traced"}


def describe_thread(pid: int, thread_id: int) -> str:
    """Return a part of a sentence, or nothing where the kernel does not say."""
    state = _state(_read(pid, thread_id, "stat"))
    if not state:
        return ""
    waits_in = _read(pid, thread_id, "wchan")
    number = _read(pid, thread_id, "syscall").split(" ")[0]
    place = f" in {waits_in}" if waits_in not in ("", "0") else ""
    call = f", system call {number}" if number.isdigit() else ""
    return f", its thread {thread_id} is {state}{place}{call}"


def _state(stat: str) -> str:
    """Return the state in words: the field after the name, which is in parentheses and may be anything."""
    letter = stat.rpartition(") ")[2][:1]
    return _STATES.get(letter, letter)


def _read(pid: int, thread_id: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/task/{thread_id}/{name}", encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
