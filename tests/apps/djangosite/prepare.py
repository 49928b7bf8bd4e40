"""Make the database and an administrator; run once before the server, in a process of its own."""

import os

import django


def prepare() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "apps.djangosite.settings")
    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
    get_user_model().objects.create_superuser("admin", "admin@example.com", "correct horse")


if __name__ == "__main__":
    prepare()
