"""What becomes of a profile: written by the worker that has made it, read and drawn by whoever has asked.

A worker samples its calls in the bridge (`src/wsgi/profile.rs`) and calls `writing.py` at the end of that,
and not before: nothing of this is in a process that was not asked. The supervisor joins the workers' parts
without reading them (`portico.process.control.profiles`). `page.py` makes the flame graph of the result,
`formats.py` what other programs read. All that a result says comes from an application: nothing is believed.
"""
