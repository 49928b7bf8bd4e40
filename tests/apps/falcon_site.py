"""A Falcon application."""

from pathlib import Path

import falcon


class Hello:
    def on_get(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        response.media = {"name": name, "query": dict(request.params)}


class Form:
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        response.media = request.get_media()


class Upload:
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        for part in request.get_media():
            if part.name == "file":
                content = part.get_data()
                response.media = {"name": part.filename, "size": len(content), "total": sum(content)}


class Stream:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.stream = (f"/stream {number}\n".encode() for number in range(1000))


class File:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        here = Path(__file__)
        response.content_type = "text/x-python"
        response.set_stream(here.open("rb"), here.stat().st_size)


class Broken:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        raise RuntimeError("broken on purpose")


app = falcon.App()
app.add_route("/hello/{name}", Hello())
app.add_route("/form", Form())
app.add_route("/json", Form())
app.add_route("/upload", Upload())
app.add_route("/stream", Stream())
app.add_route("/file", File())
app.add_route("/broken", Broken())
