"""A Bottle application."""

from collections.abc import Iterator
from pathlib import Path

from bottle import Bottle, request, response, static_file

app = Bottle()


@app.get("/hello/<name>")
def hello(name: str) -> dict[str, object]:
    return {"name": name, "query": dict(request.query.decode())}


@app.post("/form")
def form() -> dict[str, object]:
    return {key: request.forms.getunicode(key) for key in request.forms}


@app.post("/json")
def json() -> dict[str, object]:
    return request.json


@app.post("/upload")
def upload() -> dict[str, object]:
    file = request.files.get("file")
    content = file.file.read()
    return {"name": file.raw_filename, "size": len(content), "total": sum(content)}


@app.get("/stream")
def stream() -> Iterator[str]:
    response.content_type = "text/plain"
    for number in range(1000):
        yield f"/stream {number}\n"


@app.get("/file")
def file() -> object:
    here = Path(__file__)
    return static_file(here.name, root=str(here.parent), mimetype="text/x-python")


@app.get("/broken")
def broken() -> str:
    raise RuntimeError("broken on purpose")
