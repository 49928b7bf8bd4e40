"""Workers that are replaced after so many requests, or at such a size, while thousands ask."""

from __future__ import annotations

from pathlib import Path

from support.lifecycle import assert_nothing_lost, load_for
from support.waiting import wait_until

from lifecycle.load import Load

from .conftest import Serve

SPENT = "it is replaced once its successor is ready"


def test_fifty_requests_each(serve: Serve, rate: int) -> None:
    portico = serve("-w", "2", "--max-requests", "50", "--min-lifetime", "0")
    first = set(portico.worker_pids)
    with Load(portico.port, new_per_s=rate, kept=32, kept_per_s=200) as load:
        portico.wait_for(SPENT, times=10)
        wait_until(lambda: not first & set(portico.worker_pids), what="the end of the first workers")
    assert_nothing_lost(load.tally)
    portico.stop()


def rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_an_application_that_leaks(serve: Serve, rate: int) -> None:
    measured = serve("-w", "1")
    limit_mib = (rss_bytes(measured.worker_pids[0]) >> 20) + 60
    measured.stop()
    portico = serve("-w", "2", "--max-rss", f"{limit_mib}M")
    with Load(portico.port, new_per_s=rate, kept=32, kept_per_s=200) as load:
        while portico.log().count("more than max_rss") < 4:
            portico.get("/leak")
            # Some 60 MiB a second: what is looked at each second has to notice it.
            load_for(0.015)
            for pid in portico.worker_pids:
                assert rss_bytes(pid) < (limit_mib + 150) << 20
    assert_nothing_lost(load.tally)
    portico.stop()
