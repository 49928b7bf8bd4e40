"""A Dockerfile: one stage installs, the other runs, as nobody in particular and without a shell."""

from __future__ import annotations

import json
import sys

from portico.generate.container import USER_ID, check_program, contain
from portico.generate.deployment import Deployment, File
from portico.generate.head import made_by
from portico.generate.layout import Derived, comment, fill, listing
from portico.generate.times import stop_s, stop_source

_DOCKERFILE = """
    <head>

    FROM python:<python>-slim AS build
    RUN python -m venv /venv
    ENV PATH=/venv/bin:$PATH
    # It has to name portico-server beside what the application needs.
    COPY requirements.txt .
    RUN pip install --no-cache-dir --requirement requirements.txt && portico --version

    FROM python:<python>-slim
    ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
    COPY --from=build /venv /venv
    WORKDIR /app
    # What does not belong in the image (.git, .venv, secrets) goes into .dockerignore.
    COPY . .
    # A number, so that it can be seen that it is not root.
    USER <user>:<user>
    <expose>
    STOPSIGNAL SIGTERM
    HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD <health>
    # Without a shell, so that signals reach portico, which is process 1 here.
    CMD <command>
"""


def files(deployment: Deployment) -> list[File]:
    """Return the one file, `Dockerfile`. Raises OperatorError if the settings cannot hold in a container."""
    settings = deployment.settings
    contained = contain(deployment)
    ports = dict.fromkeys(address.port for address in contained.addresses if not address.path)
    stop = Derived("--stop-timeout", str(stop_s(settings)), stop_source(settings))
    image = deployment.image or deployment.name
    run = " ".join(["docker run", str(stop), *(f"--publish {port}:{port}" for port in ports), image])
    text = fill(
        _DOCKERFILE,
        head=comment(
            f"{made_by(deployment)}\n"
            f"To build and run it, in the folder that has requirements.txt:\n"
            f"  docker build --tag {image} . && {run}\n\n"
            f"From these settings of portico (Docker by itself kills after 10 s):\n{listing([stop])}"
            + "".join(f"\n{change}" for change in contained.changes)
        ),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        user=str(USER_ID),
        expose=f"EXPOSE {' '.join(str(port) for port in ports)}" if ports else "",
        health=json.dumps(["python", "-c", check_program(contained)], ensure_ascii=False),
        command=json.dumps(contained.command, ensure_ascii=False),
    )
    return [File("Dockerfile", text)]
