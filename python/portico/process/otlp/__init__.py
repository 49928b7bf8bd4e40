"""The process that sends spans and metrics to a collector, while a plan has one (the setting `otlp`).

    worker to exporter      a message for each request with a span, as JSON (`span_fields` in
                            crates/engine/src/access_log/format.rs), over one socket for all; a supervisor
                            does so for the calls of a worker that was killed
    exporter to supervisor  what the admin process asks, too (`../admin/question.py`): what are the figures?
    supervisor to exporter  the replies, and the order to leave (`../messages.py`)

`exporter.py` has a process be there, `serving.py` is the process as itself. The socket is the supervisor's:
what was written into it while there is no such process, the next one reads. Imported where there is a
collector; the SDK of OpenTelemetry only in that process.
"""
