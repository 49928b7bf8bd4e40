"""docs/run/troubleshooting.md has every sentence that the sources can say, and none that they cannot.

A sentence of the page has the same texts in the same order as one of the sources, whatever is filled in
between; so a sentence that is reworded fails here, and one that is moved, or said by another function, does
not.
"""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest

from .pages import code, page
from .sentences import Sentence, literals, normal

PAGE = page("troubleshooting")
LITERALS = literals()
SAID = [literal for literal in LITERALS if literal.is_one]
SHOWN = [normal(text) for text in code(PAGE)]
TEXTS = [normal("<>".join(literal.parts)) for literal in LITERALS]
HEADINGS = [code(line)[0] for line in re.findall(r"^### (.*`)$", PAGE, re.MULTILINE)]
# Beside what is filled in, the signs at which a sentence is put together of several texts.
_BETWEEN = re.compile(r"<[a-z ]+>|[;:,(] |[()]")
_LEAST_WORDS = 2

# Files whose sentences are for somebody else than who reads the log of a server, and where those have them.
ELSEWHERE = {
    "crates/engine/src/access_log/destination.rs": "what access_log may say: docs/run/logs.md",
    "crates/engine/src/access_log/syslog.rs": "what syslog_facility may say: docs/run/logs.md",
    "crates/engine/src/exchange/server_response.rs": "the phrases of statuses (RFC 9110 15)",
    "python/portico/admin/*": "metrics and their documentation: docs/run/metrics.md",
    "python/portico/otlp/metrics.py": "metrics and their documentation: docs/run/tracing.md",
    "python/portico/config/error_pages.py": "what pages may be: docs/error-pages.md",
    "python/portico/config/routes/folder.py": "what files of applications may be: docs/pools.md",
    "python/portico/config/addresses.py": "what an address has to look like: docs/listeners.md",
    "python/portico/config/kinds.py": "what a value has to look like: docs/settings.md",
    "python/portico/config/manual.py": "the manual page",
    "python/portico/config/old_words/*": "options of other servers: docs/moving.md",
    "python/portico/config/routes/*": "the table of routes: docs/routes.md",
    "python/portico/config/schema.py": "for editors",
    "python/portico/config/settings/*": "the help of options: docs/settings.md",
    "python/portico/ctl/*": "portico ctl: docs/operations.md",
    "python/portico/top/*": "portico top: docs/run/top.md",
    "python/portico/commands/profile.py": "portico profile: docs/run/profile.md",
    "python/portico/profile/*": "portico profile: docs/run/profile.md",
    "python/portico/process/control/profiles.py": "portico profile: docs/run/profile.md",
    "python/portico/process/cluster/entry.py": "commands to HAProxy",
    "python/portico/process/admin/overview.py": "what the dashboard says: docs/run/dashboard.md",
    "python/portico/process/control/actions.py": "what portico ctl says: docs/operations.md",
    "python/portico/process/control/clients.py": "what portico ctl says: docs/operations.md",
    "python/portico/process/control/json_lines.py": "what portico ctl says: docs/operations.md",
    "python/portico/process/control/upstreams.py": "what portico ctl says: docs/operations.md",
    "python/portico/process/control/verbs.py": "what portico ctl says: docs/operations.md",
    "python/portico/dev/*": "development: docs/development.md",
    "python/portico/flask_command.py": "development: docs/development.md",
    "python/portico/apps.py": "development: docs/development.md",
    "python/portico/management/*": "development: docs/development.md",
    "src/metrics.rs": "raised in the application: docs/run/metrics.md",
    "python/portico/metrics.py": "raised in the application: docs/run/metrics.md",
    "python/portico/embedding/*": "raised in the program that serves: docs/embedding.md",
    "python/portico/simple_server.py": "raised in the program that serves: docs/embedding.md",
    "python/portico/generate/*": "portico generate: docs/generate.md",
    "python/portico/report/*": "portico report: docs/run/report.md",
    "python/portico/middleware/*": "under any server: docs/middleware.md",
    "crates/engine/src/files/file_response.rs": "of a response",
    "crates/engine/src/files/hashed_name.rs": "of a response",
    "crates/engine/src/files/media_type.rs": "of a response",
    "src/wire.rs": "raised in the program that parses: docs/wire.md",
    "src/wire/*": "raised in the program that parses: docs/wire.md",
}

# What reads the command line, and shows the help of it.
COMMAND_LINE = ("python/portico/cli.py", "python/portico/command_line/*", "python/portico/commands/*")

# Texts that are no sentence of the log.
EXCEPTIONS = {
    "<>: expected none, since <> says what is served": "of routes: docs/routes.md",
    '%(client) - - [%(ended_clf)] "%(request)"': "a format",
    '%(client) - %(user) [%(ended_clf)] "%(request)"': "a format",
    "%(clock) %(method) %(target) %(status)": "a format",
    "the route of <><>: expected an application, a folder or an upstream": "of a caller of portico._core",
    "balance: expected round-robin, least-requests, header:NAME": "portico checks it before the engine",
    "server_name: expected a name or an address": "portico checks it before the engine",
    "text/plain; charset=utf-8": "of a response",
    "import marshal, sys; file = open(": "a program that is started",
    "{forget}import marshal, sys; file = open(": "another",
    "import os; os.environ.pop(": "the beginning of that",
    "import sys try: from portico.cli import main": "a program that is started, whose sentence the page has",
    'File "<>", line <>, in <>': "a line of a stack, as Python has them",
    "tuple[": "a type",
    "dict[tuple[": "a type",
    "Cannot overwrite a value": "of Python's own reader of TOML; the page has it as it is shown",
    "portico ctl log-level": "where a setting comes from",
    "Unable to configure": "of Python's own logging",
    "What is printed": "a heading of the help",
    "Did you mean <> <>?": "of the command line's own errors, which show it",
    "loading the application, <> of <> ready": "of the status for systemd: docs/operations.md",
    "of unknown name": "in the place of an application's name",
    "module <> has no attribute <>": "of Python's own import",
    "down #no worker is ready": "to HAProxy: docs/cluster.md",
    "Content-Type: text/plain; charset=utf-8": "of a response",
    "Vary: Accept-Encoding": "of a response",
    "a call begins in a call: <>": "a test of the crew alone can reach it",
    "called on thread <>": "trace: docs/contributing/debugging.md",
    "upgraded by the application": "trace: docs/contributing/debugging.md",
    "the upgrade has broken: <>": "trace: docs/contributing/debugging.md",
    "accepted from <> on <>": "trace: docs/contributing/debugging.md",
    "done, the connection is <>": "trace: docs/contributing/debugging.md",
    "the server has ended": "raised while the process ends, where nobody hears it",
    "the interpreter has ended": "raised while the process ends, where nobody hears it",
    "a tail that does not fit": "a panic: the encoder's own mistake",
    "the mapping is ours": "a panic",
    "the timerfd is ours": "a panic",
    "a whole number that is not negative": "settings of the engine's own tests",
    "true or false": "settings of the engine's own tests",
    "<>: expected a value, got none": "settings of the engine's own tests",
    "expected remove or keep, got <>": "portico checks it before the engine",
    "expected names of content codings, got <>": "portico checks it before the engine",
    "expected an IP address, a network such as": "portico checks it before the engine",
    "<>: expected http, uwsgi, fastcgi or scgi, got <>": "portico checks it before the engine",
    "<>: expected an open descriptor, got <>: <>": "portico opens it",
    "level: expected trace, debug, info, warning, error or critical, got": "portico checks it before",
    "slot <> of a scoreboard with <> slots": "portico makes it",
    "The client did not send the request body as it had announced": "the docstring of a class",
    "expected SCHEME://HOST:PORT or SCHEME+unix:PATH, got <>": "portico checks it before the engine",
    "GET <> HTTP/1.1": "a health check",
    "no application is needed": "what portico check has found, and no fault",
    "(waits for the client)": "of a profile: docs/run/profile.md",
    "(waits for the interpreter before the call)": "of a profile: docs/run/profile.md",
    "(ended before its stack could be taken)": "of a profile: docs/run/profile.md",
    "(before the call)": "of a profile: docs/run/profile.md",
    "499 Client Closed Request": "a status that nobody gets: docs/run/logs.md",
    "a str whose repr() fails": "in the place of a text that cannot be shown",
}


def is_shown(sentence: Sentence) -> bool:
    """Whether some code of the page has all parts of a sentence, in their order."""
    parts = [re.escape(part) for each in sentence.parts if (part := normal(each))]
    return any(re.search(".*".join(parts), text) for text in SHOWN)


def is_elsewhere(sentence: Sentence) -> bool:
    return any(fnmatch(sentence.place.rpartition(":")[0], pattern) for pattern in ELSEWHERE)


def exception_for(sentence: Sentence) -> str | None:
    """The entry of EXCEPTIONS that a sentence begins with, or is."""
    text = normal(str(sentence))
    return next((entry for entry in EXCEPTIONS if text.startswith(normal(entry))), None)


def is_help(sentence: Sentence) -> bool:
    """Whether a text of the command line is help: it ends as no sentence of the log does."""
    file = sentence.place.rpartition(":")[0]
    return any(fnmatch(file, pattern) for pattern in COMMAND_LINE) and str(sentence).endswith((".", "]"))


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_heading_is_what_the_sources_say(heading: str) -> None:
    parts = [normal(part) for part in _BETWEEN.split(normal(heading))]
    parts = [part for part in parts if len(part.split()) >= _LEAST_WORDS] or parts
    missing = [part for part in parts if not any(part in text for text in TEXTS)]
    assert not missing, f"no source says {missing}"


def test_every_sentence_of_the_sources_is_on_the_page() -> None:
    missing = [
        f"{sentence.place}: {sentence}"
        for sentence in SAID
        if not (is_elsewhere(sentence) or is_help(sentence) or exception_for(sentence) or is_shown(sentence))
    ]
    assert not missing, "\n".join(["not on docs/run/troubleshooting.md:", *missing])


def test_every_exception_is_needed() -> None:
    used = {exception_for(sentence) for sentence in SAID if not is_elsewhere(sentence)}
    assert used - {None} == set(EXCEPTIONS)
    files = {sentence.place.rpartition(":")[0] for sentence in SAID}
    assert not [pattern for pattern in ELSEWHERE if not any(fnmatch(file, pattern) for file in files)]


def test_every_heading_says_what_to_do() -> None:
    for section in re.split(r"^##+ ", PAGE, flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        assert text.strip() or not heading.startswith("`"), heading


def test_sentences_are_found_in_both_languages() -> None:
    found = {str(sentence) for sentence in SAID}
    assert "cannot fork a worker: <>; next try in <> s" in found
    assert "max_connections is reached; closed <> idle or slow connections to make room" in found
