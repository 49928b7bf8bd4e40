"""An application of plain WebOb requests and responses."""

from webob import Request, Response, exc
from webob.dec import wsgify
from webob.static import FileApp


def _json(value: object) -> Response:
    return Response(json_body=value, content_type="application/json", charset="UTF-8")


@wsgify
def app(request: Request) -> object:
    match request.path_info_pop():
        case "hello":
            return _json({"name": request.path_info_pop(), "query": dict(request.GET)})
        case "form":
            return _json(dict(request.POST))
        case "json":
            return _json(request.json_body)
        case "upload":
            file = request.POST["file"]
            content = file.file.read()
            return _json({"name": file.filename, "size": len(content), "total": sum(content)})
        case "stream":
            lines = (f"/stream {number}\n".encode() for number in range(1000))
            return Response(app_iter=lines, content_type="text/plain")
        case "file":
            return FileApp(__file__, content_type="text/x-python")
        case "broken":
            raise RuntimeError("broken on purpose")
    return exc.HTTPNotFound()
