"""A profile as a page: an interactive flame graph, complete in one file, without anything from elsewhere.

The samples stand in the page as JSON in which nothing can end the element (`_in_script`); the program beside
them (page_program.py) shows them as text nodes only, never as markup. A policy keeps the browser from running
any other program, and from loading anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape

from portico.profile.page_program import PROGRAM
from portico.profile.page_style import STYLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KINDS = (
    ("cpu", "computing"),
    ("waiting", "waiting for something else"),
    ("lock", "waiting for the interpreter"),
)


def page(result: dict[str, Any]) -> str:
    """Return the page of what the control socket has told of a profile.

    May be sent to a browser as it is (`text/html; charset=utf-8`); it is ASCII.
    """
    title = f"Profile of {result.get('name') or 'portico'}"
    digest = base64.b64encode(hashlib.sha256(PROGRAM.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )
    legend = "".join(
        f'<label><input type="checkbox" name="kind" value="{kind}" checked>'
        f'<span class="swatch {kind}"></span>{kind}: {words} <span id="share-{kind}"></span></label>'
        for kind, words in _KINDS
    )
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>",
        f"<header><h1>{_text(title)}</h1><p>{_text(headline(result))}</p>",
        *(f'<p class="remark">{_text(sentence)}</p>' for sentence in remarks(result)),
        "</header><form>",
        '<label>route <select id="route"></select></label>',
        '<label>search <input type="search" id="search" autocomplete="off" spellcheck="false"></label>',
        '<span id="found" role="status"></span>',
        '<button type="button" id="reset">whole</button>',
        f"<fieldset><legend>kinds of time</legend>{legend}</fieldset></form>",
        '<main id="graph" role="tree" tabindex="0" aria-label="flame graph"></main>',
        '<p id="detail" role="status" aria-live="polite"></p>',
        "<footer><p>A box is a function, as wide as its share of the time; below stands what it has called, "
        "its colours are the kinds of its time. Click, or Enter, makes it the whole width; Escape goes back. "
        "Arrow keys go from box to box, / searches (a regular expression, or a text).</p></footer>",
        f'<script type="application/json" id="result">{_in_script(result)}</script>',
        f"<script>{PROGRAM}</script></body></html>",
    ]
    return "\n".join(parts) + "\n"


def headline(result: dict[str, Any]) -> str:
    """Return what was profiled, in a sentence."""
    samples = sum(sample["count"] for sample in result["samples"])
    workers = len(result["workers"])
    route = f" of {result['route']}" if result.get("route") else ""
    return (
        f"{samples:,} samples{route} in {result['seconds']:g} s at {result['hz']} Hz, of {workers} "
        f"worker{'' if workers == 1 else 's'}"
    )


def remarks(result: dict[str, Any]) -> list[str]:
    """Return what else there is to know of a result, in sentences."""
    found = [
        f"Worker {each['worker']} is here for {each['seconds']:.1f} s only: {each['why']}."
        for each in result.get("partial", ())
    ]
    hz = result["hz"]
    if missed := result.get("missed"):
        found.append(
            f"{missed:,} ticks ({missed / hz:.1f} s) passed while the interpreter could not be had; they are "
            "counted for what was seen before them."
        )
    if dropped := result.get("dropped"):
        found.append(f"{dropped:,} samples are missing: there were too many different stacks.")
    if not result.get("tells_lock", True):
        found.append("Waiting for the interpreter could not be told from other waiting here.")
    return found


def _in_script(result: dict[str, Any]) -> str:
    """Return JSON that HTML reads as nothing else, whatever is in it."""
    kept = {name: result[name] for name in ("samples", "hz")}
    text = json.dumps(kept)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _text(text: str) -> str:
    shown = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return escape(shown).encode("ascii", "xmlcharrefreplace").decode("ascii")
