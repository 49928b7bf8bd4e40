"""What a collector of OpenTelemetry is sent: a span of each request, and the metrics of `/metrics`.

Runs in a process of its own (`portico.process.otlp`), by the official SDK, which is imported nowhere else:
`portico-server[otlp]` has it. `spans.py` makes spans of what workers say of requests, `metrics.py` the data
of metrics; `destination.py` says where both go, by settings and the variables that the SDK knows, and
`delivery.py` sends them, again and again where the collector is away. It imports nothing of processes.
"""

MISSING = "expected the packages of OpenTelemetry, got none: pip install 'portico-server[otlp]'"
"""What is wrong where the extra is not installed."""
