"""`RequestIDFilter`: the name of the current request on each record of `logging`, for a format to show.

A module of its own, because `logging` is not for free: only who logs imports it.
"""

from __future__ import annotations

import logging

from portico.middleware.request_id import current_request_id


class RequestIDFilter(logging.Filter):
    """Set `request_id` of every record, for `%(request_id)s`; it is `-` outside of requests. Drops none.

    handler.addFilter(RequestIDFilter())
    handler.setFormatter(logging.Formatter("%(levelname)s %(request_id)s %(message)s"))
    """

    def filter(self, record: logging.LogRecord) -> bool:
        # A record of portico's own has it already, and is handled outside of the request.
        record.request_id = current_request_id.get() or getattr(record, "request_id", "-")
        return True
