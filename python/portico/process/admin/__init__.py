"""The process at the admin address, which serves `portico.admin` while a plan has such an address.

    admin process to supervisor   what are the figures? the number of the question, 4 bytes
    supervisor to admin process   that number, the length of what follows, 4 bytes each (little endian), and
                                  the figures as `marshal` writes them

`address.py` has a process be there, `admin_process.py` is one as the supervisor sees it, `../figures.py` what
it is told; `serving.py` is the process as itself, `question.py` its end of that, `sources.py` what it reads
by itself. It keeps for a second what it was told, so that is how often the supervisor is asked, at most, by
however many. Imported where there is such an address.
"""
