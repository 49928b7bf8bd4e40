"""The page about unsafe code says what the sources say today, and rejects what has no argument."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"

REASON = '#[expect(unsafe_code, reason = "it is FFI")]'


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return run_path(str(DOCS / "generate_unsafe.py"))


def found(generator: dict[str, Any], text: str) -> list[tuple[str, str, str]]:
    return [(use.owner, use.reason, use.argument) for use in generator["find_unsafe"]("x.rs", text)]


def test_unsafe_page_is_generated_from_the_sources(generator: dict[str, Any]) -> None:
    assert (DOCS / "unsafe.md").read_text() == generator["unsafe_page"](), "run `make docs`"


def test_reads_reason_and_argument(generator: dict[str, Any]) -> None:
    text = f"""
impl<T> Mapping<T> {{
    fn new(slots: impl Fn() -> usize) -> Self {{
        let bytes = 1;
        {REASON}
        // SAFETY: a fresh mapping
        // is zeroed.
        let slots = first(
            unsafe {{ map(bytes) }},
        );
    }}
}}

{REASON}
// SAFETY: whole.
unsafe impl Send for Mapping {{}}

fn wraps() {{
    // SAFETY: the comment may come first.
    #[expect(
        unsafe_code,
        reason = "long"
    )]
    unsafe {{ call() }}
}}
"""
    assert found(generator, text) == [
        ("Mapping::new", "it is FFI", "a fresh mapping is zeroed."),
        ("the file itself", "it is FFI", "whole."),
        ("wraps", "long", "the comment may come first."),
    ]


def test_counts_only_code(generator: dict[str, Any]) -> None:
    text = """
#![forbid(unsafe_code)]
// unsafe { }
/* unsafe
   unsafe */
fn safe<'a>() { let text = "unsafe { \\" unsafe"; let raw = r#"unsafe " "#; }
fn quotes() { let quote = '"'; not_unsafe(b'\\''); }
"""
    assert found(generator, text) == []


@pytest.mark.parametrize(
    ("above", "missing"),
    [
        ("", ["without #[expect", "without a SAFETY"]),
        ("// SAFETY: it is.", ["without #[expect"]),
        (REASON, ["without a SAFETY"]),
        (REASON + "\n    // it is safe", ["without a SAFETY"]),
        ("#[allow(unsafe_code)]\n    // SAFETY: it is.", ["without #[expect"]),
        ("#[expect(unsafe_code)]\n    // SAFETY: it is.", ["without #[expect"]),
        (
            REASON + "\n    // SAFETY: of the statement before.\n    before();",
            ["without #[expect", "without a SAFETY"],
        ),
    ],
    ids=[
        "nothing",
        "no-reason",
        "no-argument",
        "no-keyword",
        "allow",
        "expect-without-reason",
        "of-another-statement",
    ],
)
def test_names_what_is_missing(generator: dict[str, Any], above: str, missing: list[str]) -> None:
    [use] = generator["find_unsafe"]("x.rs", f"fn calls() {{\n    {above}\n    unsafe {{ call() }}\n}}\n")
    faults = list(generator["faults_of"](use))
    assert len(faults) == len(missing)
    assert all(part in fault and "x.rs, calls" in fault for part, fault in zip(missing, faults, strict=True))
