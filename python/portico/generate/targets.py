"""The targets, and the way from what the command line says to files. The entry point of this package."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from portico.config.check import check_together
from portico.config.settings import Settings
from portico.config.working_directory import working_directory
from portico.errors import OperatorError, quoted
from portico.generate import apache, dockerfile, haproxy, k8s, nginx, systemd
from portico.generate.deployment import Deployment, File, read_deployment

TARGETS: Mapping[str, Callable[[Deployment], Sequence[File]]] = {
    "nginx": nginx.files,
    "apache": apache.files,
    "haproxy": haproxy.files,
    "systemd": systemd.files,
    "dockerfile": dockerfile.files,
    "k8s": k8s.files,
}
"""What makes the files of each target; each raises OperatorError where the settings do not allow it."""


def generate(
    target: str, settings: Settings, wishes: Mapping[str, Any], *, output: str = ""
) -> Sequence[File]:
    """Return the files of `target`, one of TARGETS, for a server with these `settings`.

    `wishes` are the texts of the options that `generate` has beside the settings, by name, as
    `read_deployment` takes them; `output` is where the first file will go, or empty. Raises OperatorError.
    """
    check_together(settings, working_directory(settings))
    if target == "systemd" and output:
        settings = _named_like(output, settings)
    files = TARGETS[target](read_deployment(target, settings, wishes))
    for file in files:
        try:
            file.text.encode()
        except UnicodeEncodeError as error:
            word = quoted(file.text[max(0, error.start - 20) : error.end])
            raise OperatorError(
                f"expected text, got a byte that is no UTF-8, at the end of {word}, which {file.name} "
                "cannot hold"
            ) from None
    return files


def _named_like(output: str, settings: Settings) -> Settings:
    """A unit is called like its file, and the two units have to find each other."""
    row = Settings.name
    stem, extension = os.path.splitext(os.path.basename(output))
    if extension != ".service" or not stem:
        raise OperatorError(
            f"--output: expected a file such as {settings.name or 'shop'}.service, got {quoted(output)}"
        )
    if settings.name and settings.name != stem:
        raise OperatorError(
            f"--output: {quoted(output)} is the service {stem}, but {row.flags[-1]} is {settings.name}"
        )
    return Settings(
        {**settings.values, row.attribute: stem},
        {**settings.origins, row.attribute: "--output on the command line"},
        settings.routes,
    )
