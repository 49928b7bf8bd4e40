"""One word for one thing: identifiers, file names, log lines and headings keep to the words of the field."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("python", "src", "crates", "fuzz", "tests", "soak", "bench", "lifecycle", "examples", "docs/*.py")
NOT_SOURCES = ("tests/corpus/*", "fuzz/found/*", "tests/unit/test_vocabulary.py")
PAGES = ("docs/*.md", "README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")
NOT_PAGES = ("docs/contributing/glossary*",)

# What was said, and what is said. Two words stand for two that follow each other in one identifier.
RETIRED = {
    "answer answers answered answering": "response, reply; respond, return",
    "fronts front_server front_servers": "reverse proxy",
    "asked_again": "retried",
    "refusal refusals refuse refuses refused refusing": "error response, rejected; TCP alone refuses",
    "envelope envelopes": "response framing",
    "backlog": "send queue; the backlog of listen(2) keeps its name",
    "gather gathers gathered gathering": "coalesced (blocks), buffered (log lines), collected",
    "arriving": "incoming body, body reader",
    "intake": "enqueue",
    "see_out sees_out": "finish, drain",
    "departure departures presence witness witnesses": "disconnect watcher, DisconnectListener",
    "alarm alarms ring rings": "Deadline, on_deadline",
    "cut cuts cutting": "abort (a connection), split (an input), truncate (a value)",
    "sentinel sentinels": "watchdog",
    "depose deposed stand_in": "revoke_lead, poll_as_fallback",
    "enlist enlisted recruit recruits": "register, spawn",
    "lifeline lifelines parent_death": "the supervisor's socket, supervisor_fd",
    "seldom told tell_of": "RateLimited, warn_about",
    "site facts starter turns": "RequestLabel, ServerIdentity, ExchangePool, KeepAliveBudget",
}
RETIRED_WORDS = {tuple(words.split("_")): new for old, new in RETIRED.items() for words in old.split()}


@dataclass(frozen=True)
class Kept:
    """Identifiers or file names that hold a retired word in another meaning; both are regular expressions."""

    files: str
    identifiers: str
    reason: str

    def holds(self, file: str, identifier: str) -> bool:
        return bool(re.fullmatch(self.files, file) and re.fullmatch(self.identifiers, identifier))


EXCEPTIONS = (
    Kept("(python|tests|bench)/.*", "backlog", "the setting, and the argument of listen(2)"),
    Kept(
        "(python|tests|crates)/.*",
        "ConnectionRefused(Error)?|is_refused",
        "TCP refuses a connection: ECONNREFUSED",
    ),
    Kept(
        "(python/portico/process/upstreams/lookups|tests/support/dns_server).py",
        "answer|Answer|raise_on_no_answer",
        "what RFC 1035 4.1 calls a section of a message, in dnspython",
    ),
    Kept("crates/engine/src/upstream/tls.rs", "ring", "the crate that rustls computes with"),
    Kept("python/portico/generate/.*", "_SITE", "a site, as Apache and nginx call a server's configuration"),
    Kept(
        "tests/.*", r"site|(\w+_)?site\.(py|css)", "a web site, which an application is; Django's admin.site"
    ),
    Kept(
        "tests/.*", r"test_\w+_told(_\w+)?", "somebody is told something, in the name of a test: no log line"
    ),
)

# Prose that is seen before anything else, or by operators.
SEEN = re.compile(
    r"\b(answers?|front servers?|sentinels?|lifelines?|refusals?|gathered|envelopes?)\b", re.IGNORECASE
)
RUST_LOGGERS = {"log", "warn", "warn_about", "trace"}
PYTHON_LOGGERS = {"log", "debug", "info", "warn", "warning", "error", "critical", "exception"}
RUST_TOKEN = re.compile(
    r"""
      (?P<comment>//[^\n]*|/\*.*?\*/)
    | (?P<string>[bc]?r(?P<hashes>\#*)".*?"(?P=hashes)|[bc]?"(?:\\.|[^"\\])*")
    | (?P<character>b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[0-9a-fA-F_]+\}|.)|[^\\'\n])')
    | (?P<name>[A-Za-z_]\w*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Found:
    """A piece of text, and where it is."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def tracked(*patterns: str, but: tuple[str, ...]) -> list[str]:
    try:
        listed = subprocess.run(
            [
                "git",
                "ls-files",
                "--",
                *(f":(glob){pattern}" if "*" in pattern else pattern for pattern in patterns),
            ],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"which files are tracked is only known in a clone: {error}")
    return [name for name in listed if not any(fnmatch(name, pattern) for pattern in but)]


def words_of(identifier: str) -> list[str]:
    """`on_deadline`, `OnDeadline` and `ON_DEADLINE` have the same words; `string` has one."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return [part.lower() for part in parts]


def retired_in(identifier: str) -> str | None:
    words = words_of(identifier)
    for found in [*((word,) for word in words), *pairwise(words)]:
        if found in RETIRED_WORDS:
            return f"{'_'.join(found)!r} in {identifier} (now: {RETIRED_WORDS[found]})"
    return None


def is_excepted(file: str, identifier: str) -> bool:
    return any(each.holds(file, identifier) for each in EXCEPTIONS)


def identifiers(file: str, text: str) -> Iterator[Found]:
    if file.endswith(".rs"):
        for match in RUST_TOKEN.finditer(text):
            if match["name"]:
                yield Found(file, text.count("\n", 0, match.start()) + 1, match[0])
    elif file.endswith(".py"):
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME:
                yield Found(file, token.start[0], token.string)


def log_lines(file: str, text: str) -> Iterator[Found]:
    """The string literals that are handed to a function which writes to a log."""
    if file.endswith(".py"):
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "attr", getattr(node.func, "id", "")) in PYTHON_LOGGERS
            ):
                for part in ast.walk(node):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield Found(file, part.lineno, part.value)
    elif file.endswith(".rs"):
        name, depth = "", 0
        for match in RUST_TOKEN.finditer(text):
            if match["string"] and (depth or file.endswith("/error.rs")):
                yield Found(file, text.count("\n", 0, match.start()) + 1, match[0])
            elif match[0] == "(" and (depth or name in RUST_LOGGERS):
                depth += 1
            elif match[0] == ")" and depth:
                depth -= 1
            if not match[0].isspace():
                name = match["name"] or ""


def headings_and_tables(file: str, text: str) -> Iterator[Found]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(("#", "|")):
            yield Found(file, number, line)


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    names = tracked(*SOURCES, but=NOT_SOURCES)
    assert len(names) > 300, "the sources are not there"
    return {name: (ROOT / name).read_text("utf-8") if name.endswith((".rs", ".py")) else "" for name in names}


def test_no_identifier_holds_a_retired_word(sources: dict[str, str]) -> None:
    wrong = [
        Found(found.file, found.line, retired)
        for file, text in sources.items()
        for found in identifiers(file, text)
        if (retired := retired_in(found.text)) and not is_excepted(file, found.text)
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_no_file_name_holds_a_retired_word(sources: dict[str, str]) -> None:
    wrong = [
        f"{file}: {retired}"
        for file in sources
        for part in Path(file).parts
        if (retired := retired_in(part)) and not is_excepted(file, part)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_log_line_holds_a_retired_word(sources: dict[str, str]) -> None:
    lines = [line for file, text in sources.items() for line in log_lines(file, text)]
    assert len(lines) > 100, "the log lines are not found"
    wrong = [line for line in lines if SEEN.search(line.text)]
    assert not wrong, "\n".join(map(str, wrong))


def test_no_heading_or_table_holds_a_retired_word() -> None:
    pages = {name: (ROOT / name).read_text("utf-8") for name in tracked(*PAGES, but=NOT_PAGES)}
    lines = [line for file, text in pages.items() for line in headings_and_tables(file, text)]
    assert len(lines) > 100, "the headings and tables are not found"
    wrong = [line for line in lines if SEEN.search(line.text)]
    assert not wrong, "\n".join(map(str, wrong))


def test_each_exception_is_needed(sources: dict[str, str]) -> None:
    kept = {
        each
        for file, text in sources.items()
        for name in [*Path(file).parts, *(found.text for found in identifiers(file, text))]
        if retired_in(name)
        for each in EXCEPTIONS
        if each.holds(file, name)
    }
    assert set(EXCEPTIONS) == kept


@pytest.mark.parametrize(
    ("identifier", "is_retired"),
    [
        ("answer", True),
        ("AnswerKind", True),
        ("MAX_ANSWER_BYTES", True),
        ("front_server", True),
        ("FrontServer", True),
        ("string", False),
        ("turn", False),
        ("pop_front", False),
        ("frontend_server", False),
        ("shortcuts", False),
        ("HTTPAnswer2", True),
    ],
)
def test_identifiers_are_split_into_words(identifier: str, is_retired: bool) -> None:
    assert bool(retired_in(identifier)) == is_retired


def test_comments_and_strings_hold_no_identifiers() -> None:
    rust = 'let a = "answer"; // answer\n/* answer */ let b = r#"an "answer""#; let c = \'"\'; fn f<\'a>() {}'
    assert not any(retired_in(found.text) for found in identifiers("a.rs", rust))
    assert [
        found.text for found in log_lines("a.rs", 'x("a"); log(Level::Warning, &format!("b")); y("c")')
    ] == ['"b"']
    python = '"""answer"""  # answer\nlog.info(f"sent {x}", "answer")\n'
    assert not any(retired_in(found.text) for found in identifiers("a.py", python))
    assert "answer" in [found.text for found in log_lines("a.py", python)]
