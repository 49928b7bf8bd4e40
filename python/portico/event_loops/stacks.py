"""Where all greenlets of a worker stand that have given the thread up, for who asks why the loop stands.

Loaded when that is asked for (`src/wsgi/event_loop.rs`), on a thread beside that of the loop: whose own stack
is written by faulthandler, as it needs no interpreter. Found as gevent's run info finds them
(`gevent.util.GreenletTree`); but many have the same stack, which is told once.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter

from portico.deadlines import describe_stack, in_application, stack_of_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# Different stacks that are told, and of each the innermost frames: the record has 64 KiB at the most.
_MOST_STACKS = 12
_MOST_FRAMES = 16


def describe_greenlets() -> str | None:
    """Return how many greenlets there are and where they stand, the most first; None if there are none."""
    idle = 0
    found: Counter[str] = Counter()
    for frame in _frames():
        places = stack_of_frame(frame)
        if in_application(places):
            found[describe_stack(places, most_frames=_MOST_FRAMES)] += 1
        else:
            idle += 1
    count = idle + found.total()
    if not count:
        return None
    lines = [f"{count} greenlets have given the thread up, {idle} of them wait for a request"]
    for stack, times in found.most_common(_MOST_STACKS):
        lines.append(f"  {times} at")
        lines += ["  " + line for line in stack.split("\n")]
    left = found.most_common()[_MOST_STACKS:]
    if left:
        lines.append(f"  {sum(times for _, times in left)} at {len(left)} other places")
    return "\n".join(lines)


def _frames() -> Iterator[FrameType]:
    """The innermost frames of all greenlets but the loop's own, and what ran before any."""
    greenlet = sys.modules.get("greenlet")
    if greenlet is None:
        return
    hub = sys.modules.get("gevent.hub")
    loops = () if hub is None else (hub.Hub,)
    for each in gc.get_objects():
        # By its type: an object may say that it is of another, by code of the application's.
        kind = type(each)
        if not issubclass(kind, greenlet.greenlet) or issubclass(kind, loops) or each.parent is None:
            continue
        frame = each.gr_frame
        if frame is not None:
            yield frame
