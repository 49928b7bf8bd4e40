"""The control socket: what `portico ctl` asks of a server that runs, and has it do.

A line of JSON for each request, and one for the response to it:

    {"protocol": 1, "verb": "scale", "workers": 4}
    {"protocol": 1, "ok": true, "result": {"workers": 4}}
    {"protocol": 1, "ok": false, "error": "rejected", "message": "expected 1 to 18 workers, got 40"}

`opening.py` makes the socket, in the process of the command line. The rest runs in the supervisor, in its
loop, and never waits for a client: `door.py` is there from the start; `clients.py` and what it needs are
loaded when the first client comes. `verbs.py` is the table of all verbs: `reports.py` has those that tell,
`actions.py` those that do, `profiles.py` is one that takes its time (`lasting.py`); `subject.py` is what both
see of the supervisor. `json_lines.py` reads and writes.
"""

PROTOCOL = 1
