"""Every valid fixture application passes between the server and `wsgiref.validate`."""

from __future__ import annotations

import pytest
from apps.conformance import VALID
from support.server import Server

QUERIES = {
    "reads-with-sizes": "sizes=3,2,100,1",
    "reads-lines-with-sizes": "sizes=3,2,100,1",
    "tells-whether-kept": None,
    "endless": None,
    "meets": "count=1",
    "many-blocks": "count=50",
}
"""What an application needs in its query string; None where it is not asked alone."""

GATES = 4


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("name", [name for name in VALID if QUERIES.get(name, "") is not None])
def test_valid_applications_pass_the_validator(
    validated_server: Server, key: str, name: str, method: str
) -> None:
    server = validated_server
    position = server.error_log.position()
    for number in range(GATES):
        server.recorder.open_gate(key, number)
    body = b"line one\nline two\n" if method == "POST" else None
    with server.connect() as connection:
        response = connection.request(f"/{name}?key={key}&{QUERIES.get(name, '')}", method=method, body=body)
    assert response.status == {"replaces": 500, "replaces-after-empty": 503, "gives-exc-info": 500}.get(
        name, response.status if 200 <= response.status < 300 else 200
    ), server.log_tail(position)
    assert "AssertionError" not in server.error_log.text(position)
    assert "without being closed" not in server.error_log.text(position)


def test_the_request_for_the_whole_server_passes_the_validator(validated_server: Server) -> None:
    """It rejects a PATH_INFO of `*`."""
    with validated_server.connect() as connection:
        assert connection.request("*", method="OPTIONS").status == 200
