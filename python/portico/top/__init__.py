"""`portico top`: what a server that runs does now, as a table that follows it, asked over its control socket.

    sample.py what the server has said at one moment -> model.py rows and sums, by two samples
    -> table.py lines of text, by the table of columns.py -> printed once, or shown by view.py

`text.py` has what may stand on a terminal. Runs in a process of the command line only. `view.py` and its
`dialogs.py` alone import Textual; `watcher.py` asks for it, `stacks.py` has stacks written and reads them.
"""
