"""A Flask application: JSON, forms, uploads, cookies, streaming, files, errors."""

import io
from collections.abc import Iterator

from flask import Flask, Response, abort, jsonify, redirect, request, send_file, session, stream_with_context

app = Flask(__name__)
app.secret_key = "only for tests"


@app.get("/hello/<name>")
def hello(name: str) -> Response:
    return jsonify(name=name, query=request.args.to_dict(), url=request.url)


@app.post("/form")
def form() -> Response:
    return jsonify(request.form.to_dict())


@app.post("/json")
def json() -> Response:
    return jsonify(request.get_json())


@app.post("/upload")
def upload() -> Response:
    file = request.files["file"]
    content = file.read()
    return jsonify(name=file.filename, size=len(content), total=sum(content))


@app.get("/count")
def count() -> Response:
    session["count"] = session.get("count", 0) + 1
    return jsonify(session["count"])


@app.get("/stream")
def stream() -> Response:
    def lines() -> Iterator[str]:
        for number in range(1000):
            yield f"{request.path} {number}\n"

    return Response(stream_with_context(lines()), mimetype="text/plain")


@app.get("/file")
def file() -> Response:
    return send_file(__file__, mimetype="text/x-python", conditional=True)


@app.get("/memory")
def memory() -> Response:
    return send_file(io.BytesIO(b"0123456789" * 1000), mimetype="application/octet-stream")


@app.get("/redirect")
def elsewhere() -> Response:
    return redirect("/hello/elsewhere")


@app.get("/missing")
def missing() -> Response:
    abort(404)


@app.get("/broken")
def broken() -> Response:
    raise RuntimeError("broken on purpose")
