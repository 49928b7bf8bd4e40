"""`portico report`: what an access log says, for people. No server ever imports this.

    reading.py -> formats.py -> tally.py -> figures.py -> text.py, page.py; two of them: comparison.py

Lines come in one by one and are forgotten; what is kept has a bound, however long the log is.
"""
