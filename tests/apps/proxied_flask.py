"""A Flask application that tells how it sees the requests that come through a reverse proxy."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Flask, Response, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

from apps import behind_proxy

app = Flask(__name__)


@app.route("/seen/<path:rest>", methods=["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def seen(rest: str) -> Response:
    return jsonify(
        method=request.method,
        path=request.path,
        query=request.query_string.decode("latin-1"),
        arguments=request.args.to_dict(flat=False),
        headers={name.lower(): value for name, value in request.headers.items()},
        cookies=request.cookies,
        form=request.form.to_dict(flat=False),
        scheme=request.scheme,
        host=request.host,
        url=request.url,
        remote_addr=request.remote_addr,
        mount=request.environ["SCRIPT_NAME"],
    )


@app.route("/digest", methods=["POST", "PUT"])
def digest() -> Response:
    return jsonify(behind_proxy.digest(request.stream))


@app.get("/stream")
def stream() -> Response:
    return _streamed(behind_proxy.stream())


@app.get("/gated-stream")
def gated_stream() -> Response:
    return _streamed(behind_proxy.gated_stream(request.args["key"]))


@app.get("/endless-stream")
def endless_stream() -> Response:
    return _streamed(behind_proxy.endless_stream(request.args["key"]))


@app.get("/aborted-stream")
def aborted_stream() -> Response:
    return _streamed(behind_proxy.aborted_stream(request.args["key"]))


@app.get("/redirect")
def relative() -> ResponseReturnValue:
    return redirect("/seen/elsewhere?a=1")


@app.get("/redirect-absolute")
def absolute() -> ResponseReturnValue:
    return redirect(url_for("seen", rest="elsewhere", _external=True))


@app.get("/cookies")
def cookies() -> Response:
    response = jsonify(request.cookies)
    for name, value in behind_proxy.COOKIES.items():
        response.set_cookie(name, value, max_age=60, httponly=True)
    return response


@app.get("/large-headers")
def large_headers() -> Response:
    return Response("large", headers=behind_proxy.LARGE_HEADERS)


@app.route("/wait", methods=["GET", "POST"])
def wait() -> str:
    return behind_proxy.wait(request.args["key"], request.environ["portico.disconnected"])


@app.get("/wait-at/<path:rest>")
def wait_at(rest: str) -> Response:
    wait()
    return seen(rest)


@app.get("/own-error/<int:status>")
def own_error(status: int) -> tuple[str, int]:
    behind_proxy.enter(request.args["key"])
    return "the application's own", status


@app.route("/number/<int:number>", methods=["GET", "POST"])
def number(number: int) -> str:
    return behind_proxy.number(number, request.args.get("pause_ms", 0, int))


def _streamed(blocks: Iterable[bytes]) -> Response:
    """A response of unknown length, which nginx is not to hold back."""
    return Response(blocks, mimetype="text/plain", headers={"X-Accel-Buffering": "no"})
