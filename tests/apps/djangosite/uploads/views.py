"""A greeting, a form with a file, its download, a stream and an error."""

from collections.abc import Iterator

from django import forms
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from apps.djangosite.uploads.models import Upload


class UploadForm(forms.ModelForm):
    class Meta:
        model = Upload
        fields = ("title", "file")


def hello(request: HttpRequest, name: str) -> JsonResponse:
    visits = request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"name": name, "visits": visits, "query": request.GET.dict()})


def uploads(request: HttpRequest) -> HttpResponse:
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        return redirect(f"/uploads/{form.save().pk}/")
    return render(request, "uploads.html", {"form": form, "uploads": Upload.objects.all()})


def download(request: HttpRequest, number: int) -> FileResponse:
    upload = get_object_or_404(Upload, pk=number)
    return FileResponse(upload.file.open("rb"), as_attachment=True, filename=upload.title)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def lines() -> Iterator[str]:
        for number in range(1000):
            yield f"line {number}\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("broken on purpose")
