"""An uploaded file with a title."""

from django.db import models


class Upload(models.Model):
    title = models.CharField(max_length=100)
    file = models.FileField(upload_to="uploads")

    def __str__(self) -> str:
        return self.title
