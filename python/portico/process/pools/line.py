"""What the supervisor in front of pools and that of a pool say to each other, over a socketpair.

    to the pool    NUMBER reload           as a HUP
                   NUMBER upgrade          as a USR2
                   NUMBER reopen-logs      as a USR1
                   NUMBER log-level LEVEL  as `portico ctl log-level`
                   NUMBER stop             as a TERM; so is the end of file, when the other has gone
                   NUMBER metrics QUESTION tell metrics (`metric_lines.py`); NUMBER is the last order's
                   NUMBER overview QUESTION  tell what a dashboard shows, in the same way
    to the first   control PATH            where `portico ctl` reaches the pool
                   sample ...              and others: replies (`metric_lines.py`)
                   overview QUESTION JSON  the same
                   state READY WANTED TAKEN IS_BUSY IS_FAILING HAS_FAILED
                                           how many workers are ready, and wanted; the number of the last
                                           order that was taken; 1 while a reload is on its way; 1 while
                                           workers cannot be started; 1 if the last reload has come to nothing

Each is a line of words with tabs between them. Orders are numbered from 1. A word that one side does not
know, because an upgrade has changed the other, it passes over. No imports: both sides have this module.
"""

from __future__ import annotations

METRICS, OVERVIEW = "metrics", "overview"
"""What is asked, and what a reply to it ends in; the overview is all of its reply."""
AT_THE_END = 0
"""The number of a question that nobody has asked: what a pool has to say at its end."""

_SEPARATOR = "\t"


class LineReader:
    """Bytes in, split anywhere; lines out, each as its words."""

    __slots__ = ("begun",)

    def __init__(self, begun: bytes = b"") -> None:
        # What has come of a line that is not complete.
        self.begun = begun

    def feed(self, data: bytes) -> list[list[str]]:
        """Return the lines that are complete with `data`."""
        *lines, self.begun = (self.begun + data).split(b"\n")
        return [line.decode("utf-8", "surrogateescape").split(_SEPARATOR) for line in lines]


def line_of(*words: object) -> bytes:
    """Return the line that has `words`."""
    return (_SEPARATOR.join(map(str, words)) + "\n").encode("utf-8", "surrogateescape")
