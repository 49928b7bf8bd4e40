"""A Pyramid application."""

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import FileResponse, Response


def hello(request: Request) -> dict[str, object]:
    return {"name": request.matchdict["name"], "query": dict(request.GET)}


def form(request: Request) -> dict[str, object]:
    return dict(request.POST)


def json(request: Request) -> object:
    return request.json_body


def upload(request: Request) -> dict[str, object]:
    file = request.POST["file"]
    content = file.file.read()
    return {"name": file.filename, "size": len(content), "total": sum(content)}


def stream(request: Request) -> Response:
    return Response(
        app_iter=(f"/stream {number}\n".encode() for number in range(1000)), content_type="text/plain"
    )


def file(request: Request) -> FileResponse:
    return FileResponse(__file__, request=request, content_type="text/x-python")


def broken(request: Request) -> Response:
    raise RuntimeError("broken on purpose")


def make_app() -> object:
    with Configurator() as config:
        for view, pattern, renderer in [
            (hello, "/hello/{name}", "json"),
            (form, "/form", "json"),
            (json, "/json", "json"),
            (upload, "/upload", "json"),
            (stream, "/stream", None),
            (file, "/file", None),
            (broken, "/broken", None),
        ]:
            config.add_route(view.__name__, pattern)
            config.add_view(view, route_name=view.__name__, renderer=renderer)
        return config.make_wsgi_app()
