"""The same as `compressed_django`, by Flask."""

from __future__ import annotations

import gzip
import logging

from flask import Flask, Response, request, send_file

PAGE = "".join(f"<p>line {number * 7919 % 1009} of a page</p>\n" for number in range(2000))
LINES = 100

application = Flask(__name__)


@application.get("/page")
def page() -> Response:
    response = Response(PAGE)
    response.add_etag()
    return response.make_conditional(request)


@application.get("/stream")
def stream() -> Response:
    return Response((f"line {number} of a stream\n" for number in range(LINES)), mimetype="text/plain")


@application.get("/file")
def file() -> Response:
    return send_file(logging.__file__, mimetype="text/x-python")


@application.get("/compressed")
def compressed() -> Response:
    return Response(gzip.compress(PAGE.encode()), headers={"Content-Encoding": "gzip"})
