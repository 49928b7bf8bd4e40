"""The process at the admin address, which serves `portico.admin` while a plan has such an address.

    admin process to supervisor   the number of the question, 4 bytes, the highest of which says what it is
                                  about: what are the figures? what is there to see? Where a profile is to
                                  begin, a line with what is wanted
    supervisor to admin process   that number, the length of what follows, 4 bytes each (little endian), and
                                  what was asked for as `marshal` writes it

`address.py` has a process be there, `admin_process.py` is one as the supervisor sees it, `../figures.py` what
and `overview.py` what it is told; `serving.py` is the process as itself, `question.py` its end of that,
`sources.py` what it reads by itself. Of pools their supervisors are asked, and waited for half a second
(`../pools/pool_metrics.py`). It keeps for a second what it was told, so that is how often the supervisor is
asked for anything, at most, by however many. Imported where there is such an address, the overview where
somebody looks at the dashboard.
"""
