"""What is published, looked into: metadata, files of the repository, sections of an extension."""

from __future__ import annotations

import re
import subprocess
import sys
from email.message import Message
from pathlib import Path

from portico import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> set[str]:
    """Files of the repository."""
    return set(
        subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    )


def check_metadata(said: Message) -> None:
    """Compare what a distribution says of itself with pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert (said["Name"], said["Version"]) == ("portico-server", __version__)
    assert (said["Summary"], said["License-Expression"]) == (project["description"], "Apache-2.0")
    assert said["Requires-Python"] == ">=3.10"
    assert set(said.get_all("Classifier", [])) == set(project["classifiers"])
    urls = dict(line.split(", ", 1) for line in said.get_all("Project-URL", []))
    assert urls == project["urls"]
    assert set(urls) == {"Source", "Documentation", "Changelog", "Issues"}
    assert said.get_all("Provides-Extra") == ["asyncio", "dev", "dns", "gevent", "otlp", "top", "tornado"]
    assert {re.split(r"[<>=;]", line)[0].strip() for line in said.get_all("Requires-Dist", [])} == {
        *("click", "dnspython", "gevent", "greenlet"),
        *("opentelemetry-exporter-otlp-proto-http", "opentelemetry-sdk", "tornado"),
        *("textual", "tomli", "watchfiles"),
    }
    assert said["Description-Content-Type"].startswith("text/markdown")
    text = said.get_payload()
    assert isinstance(text, str)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []


def sections_for_debuggers(program: bytes) -> list[bytes]:
    """What a stripped ELF file has not."""
    # The names of sections, which the code that prints backtraces has too, without such ends.
    symbols = (b"symtab", b"debug_info", b"debug_line")
    return [name for name in symbols if b"\0." + name + b"\0" in program]
