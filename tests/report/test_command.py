"""`portico report` from the command line: files, standard input, mistakes, and how much memory it takes."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Report
from .made import json_line, text


def write(folder: Path, name: str, lines: list[str]) -> str:
    (folder / name).write_text(text(lines))
    return name


def figures(folder: Path) -> dict[str, object]:
    found = json.loads((folder / "figures.json").read_text())
    assert isinstance(found, dict)
    return found


def test_says_what_the_log_says(report: Report, tmp_path: Path) -> None:
    lines = [
        json_line(
            path=f"/order/{n}",
            route="/order/<int:n>",
            at_s=n,
            total_ns=(n + 1) * 1_000_000,
            portico_app_ns=(n + 1) * 900_000,
            portico_cpu_ns=(n + 1) * 300_000,
            portico_queue_ns=(n + 1) * 100_000,
        )
        for n in range(100)
    ]
    lines += [json_line(path="/gone", status=404, at_s=100, total_ns=1000)]
    lines += [
        json_line(path="/killed", status=0, at_s=100, total_ns=9_000_000_000, portico_cause="killed:oom")
    ]
    printed = report(write(tmp_path, "access.json", lines), "--json", "figures.json").stdout
    for sentence in (
        "102 requests in 1 min 40 s, 1.02/s: 2026-11-29 01:46:07 to 2026-11-29 01:47:47 UTC\n",
        "access.json (json)\n",
        "  100  98.0 %  2xx\n",
        "    1   1.0 %  000, whose worker was killed\n",
        "p50 50.1 ms   p90 90.7 ms   p99 100 ms   p99.9 9.00 s   longest 9.00 s\n",
        "  60.0 %  ########################  application, waiting\n",
        "  9.00 s         1   9.00 s   9.00 s   9.00 s   9.00 s     10 B       1  GET /killed (path)\n",
        "  5.05 s       100",
        "GET /order/<int:n>\n",
        "  1  100.0 % of its requests  GET /killed (path)\n",
        "  1  killed:oom\n",
        "  9.00 s  2026-11-29 01:47:47  000  GET /killed (killed:oom)\n",
        "* a route is what the framework has found; one with (path) is a path, where the line has none\n",
    ):
        assert sentence in printed
    all_of_it = figures(tmp_path)
    assert all_of_it["statuses"] == {"000": 1, "200": 100, "404": 1}
    assert all_of_it["causes"] == {"killed:oom": 1}


@pytest.mark.parametrize("name", ["plain", "gzip", "stdin", "gzip on stdin"])
def test_reads_files_compressed_ones_and_standard_input(report: Report, tmp_path: Path, name: str) -> None:
    data = text([json_line(), json_line()]).encode()
    data = gzip.compress(data) if "gzip" in name else data
    (tmp_path / "access.log").write_bytes(data)
    printed = report("-" if "stdin" in name else "access.log", stdin=data if "stdin" in name else b"").stdout
    assert printed.startswith("2 requests")


def test_reads_several_logs_each_in_its_format(report: Report, tmp_path: Path) -> None:
    write(tmp_path, "one.log", [json_line(path="/a")])
    write(
        tmp_path,
        "two.log",
        ['192.0.2.7 - - [29/Nov/2026:01:46:17 +0000] "GET /a HTTP/1.1" 200 5 "-" "-" 0.002000'],
    )
    printed = report("one.log", "two.log").stdout
    assert printed.startswith("2 requests in 10 s")
    assert "one.log (json), two.log (combined)\n" in printed


def test_empty_log_beside_another_is_no_mistake(report: Report, tmp_path: Path) -> None:
    write(tmp_path, "empty.log", [])
    assert report("empty.log", write(tmp_path, "one.log", [json_line()])).stdout.startswith("1 request:")


def test_a_format_can_be_named(report: Report, tmp_path: Path) -> None:
    write(tmp_path, "access.log", ['GET /a HTTP/1.1 "agent" 200 1500'])
    printed = report("access.log", "--format", '%(r)s "%(a)s" %(s)s %(D)s').stdout
    assert "1.50 ms" in printed
    assert "access.log (template)" in printed


def test_compressed_log_that_ends_in_the_middle_is_read_so_far(report: Report, tmp_path: Path) -> None:
    whole = gzip.compress(text([json_line(path=f"/{n}/{os.urandom(8).hex()}") for n in range(5000)]).encode())
    (tmp_path / "access.gz").write_bytes(whole[: len(whole) // 2])
    printed = report("access.gz").stdout
    assert "* access.gz is compressed and ends in the middle; what is before that was read\n" in printed


@pytest.mark.parametrize("rest", [b"no gzip", b"\x1f\x8b\x08"], ids=["others", "begun"])
def test_reads_all_that_is_before_the_end_of_what_is_compressed(
    report: Report, tmp_path: Path, rest: bytes
) -> None:
    (tmp_path / "access.gz").write_bytes(gzip.compress(text([json_line()] * 3).encode()) + rest)
    printed = report("access.gz").stdout
    assert printed.startswith("3 requests")
    assert "* access.gz is compressed and ends in the middle; what is before that was read\n" in printed


# --- What cannot be read


def test_lines_that_cannot_be_read_are_counted_and_the_first_is_shown(report: Report, tmp_path: Path) -> None:
    lines = [json_line(), "", json_line()[:50], "nonsense \x1b[31m", json_line(), "x" * 100_000]
    printed = report(write(tmp_path, "access.log", lines)).stdout
    assert printed.startswith("2 requests")
    assert (
        "* 3 of 5 lines of access.log could not be read; the first is access.log:3: expected an object of "
        'JSON with "http.response.status_code", got "{\\"@timestamp\\": '
    ) in printed


def test_longest_line_is_passed_over(report: Report, tmp_path: Path) -> None:
    printed = report(write(tmp_path, "access.log", ["x" * 5_000_000, json_line()])).stdout
    assert (
        "the first is access.log:1: expected a line of at most 65536 bytes, got one that is longer"
        in printed.replace('"', "")
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(
            "nonsense\n",
            "portico: access.log: none of 1 lines could be read; access.log:1: expected a line of one of "
            'json, logfmt, uwsgi, combined, common, short, got "nonsense"\n',
            id="nonsense",
        ),
        pytest.param("", "portico: access.log: expected lines of an access log, got none\n", id="empty"),
    ],
)
def test_log_without_a_line_that_can_be_read_is_a_mistake(
    report: Report, tmp_path: Path, content: str, sentence: str
) -> None:
    (tmp_path / "access.log").write_text(content)
    assert report("access.log", exit_code=2).stderr == sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.log"], 'portico: cannot read "missing.log": No such file or directory\n'),
        (["."], 'portico: cannot read ".": Is a directory\n'),
        (
            ["access.log", "--html", "./access.log"],
            'portico: "./access.log" is the log that is read; expected another file for the report\n',
        ),
        (
            ["access.log", "--html", "missing/report.html"],
            'portico: cannot write "missing/report.html": No such file or directory\n',
        ),
        (
            ["-", "--before", "-"],
            "portico: standard input, -, can be read once; expected a file for the other log\n",
        ),
        (
            ["access.log", "--format", "jsno"],
            "portico: --format: expected json, logfmt, uwsgi, combined, common, short, gunicorn, or a "
            'template with variables such as %(status), got "jsno"\n',
        ),
    ],
)
def test_mistakes_of_the_command_line(
    report: Report, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    write(tmp_path, "access.log", [json_line()])
    assert report(*arguments, exit_code=2).stderr == sentence
    assert (tmp_path / "access.log").read_text() == text([json_line()])


# --- Before and after


def test_says_what_changed(report: Report, tmp_path: Path) -> None:
    before = [json_line(path="/a", at_s=n / 10, total_ns=1_000_000 + n) for n in range(1000)]
    after = [json_line(path="/a", at_s=n / 10, total_ns=3_000_000 + n) for n in range(1000)]
    write(tmp_path, "old.json", before)
    write(tmp_path, "new.json", after)
    printed = report("new.json", "--before", "old.json", "--json", "figures.json").stdout
    assert "What changed\n" in printed
    assert "slower (p50)" in printed
    assert "1.00 ms → 3.00 ms" in printed
    assert "+2.00 s  GET /a\n" in printed
    (change,) = figures(tmp_path)["changes"]  # type: ignore[misc]
    assert change["kinds"] == ["slower (p50)", "slower (p99)", "more time"]


def test_what_a_log_does_not_have_is_not_compared_as_nothing(report: Report, tmp_path: Path) -> None:
    write(tmp_path, "old.json", [json_line(path="/a", total_ns=1_000_000)] * 40)
    line = '192.0.2.7 - - [29/Nov/2026:01:46:07 +0000] "GET /b HTTP/1.1" 200 5'
    write(tmp_path, "new.log", [line] * 40)
    changed = report("new.log", "--before", "old.json").stdout.partition("What changed\n")[2]
    assert "one of the logs has no durations" in changed
    rows = [re.split(r" {2,}", row.strip()) for row in changed.splitlines()[1:4]]
    assert rows == [
        ["no change", "40", "1.00 ms → -", "1.00 ms → -", "40.0 ms → -", "0", "-", "all requests"],
        ["gone", "40", "1.00 ms", "1.00 ms", "40.0 ms", "0", "-40.0 ms", "GET /a"],
        ["new", "40", "-", "-", "-", "0", "-", "GET /b"],
    ]


def test_log_with_routes_is_compared_by_path_with_one_without(report: Report, tmp_path: Path) -> None:
    uwsgi = (
        "[pid: 1|app: 0|req: 1/1] 127.0.0.1 () {24 vars in 246 bytes} [Sun Nov 29 01:46:07 2026] "
        "GET /order/7 => generated 5 bytes in 4 msecs (HTTP/1.1 200) 1 headers in 38 bytes "
        "(1 switches on core 0)"
    )
    write(tmp_path, "uwsgi.log", [uwsgi] * 100)
    after = [json_line(path=f"/order/{n}", route="/order/<int:n>") for n in range(100)]
    printed = report(write(tmp_path, "new.json", after), "--before", "uwsgi.log").stdout
    assert "faster (p50)" in printed
    assert "GET /order/<n>\n" in printed
    assert "<int:n>" not in printed


# --- Files that are written


def test_writes_page_and_figures_and_says_the_text(report: Report, tmp_path: Path) -> None:
    write(tmp_path, "access.log", [json_line()])
    (tmp_path / "report.html").write_text("of yesterday")
    printed = report("access.log", "--html", "report.html", "--json", "figures.json")
    assert printed.stdout.startswith("1 request")
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert sorted(os.listdir(tmp_path)) == ["access.log", "figures.json", "report.html"]


@pytest.mark.parametrize(("option", "start"), [("--html", "<!doctype html>\n"), ("--json", "{\n")])
def test_standard_output_has_what_is_asked_for_alone(
    report: Report, tmp_path: Path, option: str, start: str
) -> None:
    printed = report(write(tmp_path, "access.log", [json_line()]), option, "-").stdout
    assert printed.startswith(start)
    assert "Responses\n  1" not in printed


def test_terminal_gets_nothing_that_it_would_act_on(report: Report, tmp_path: Path) -> None:
    evil = "/\x1b]0;title\x07\x1b[2J\u202e\x9b31m\r\nforged"
    lines = [json_line(path=evil, route=evil, portico_cause=evil), json_line(path=evil)]
    printed = report(write(tmp_path, "access.log", lines)).stdout
    assert not [each for each in printed if not each.isprintable() and each != "\n"]
    assert "\\u001b]0;title\\u0007" in printed


# --- What it costs


GENERATOR = """
import json, sys
line = json.loads(sys.argv[1])
written, n = 0, 0
while written < {size}:
    n += 1
    line["url.path"] = f"/shop/{{n % 100_000}}x/{{n}}"
    line["event.duration"] = n * 7919 % 10**9
    line["portico.cause"] = f"cause {{n}}"
    line["user_agent.original"] = "Mozilla/5.0 (X11; Linux x86_64) " + "x" * 700
    text = json.dumps(line) + "\\n"
    written += len(text)
    sys.stdout.write(text)
"""
MEASURED = """
import sys
from portico.commands.all import commands
commands.main(["report", "-", "--json", "figures.json"], standalone_mode=False)
# Not getrusage: what that tells begins with the memory of who has forked this process.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(status["VmHWM"].split()[0], file=sys.stderr)
"""


def peak_kb(folder: Path, size: int) -> int:
    generator = [sys.executable, "-c", GENERATOR.format(size=size), json_line()]
    with subprocess.Popen(generator, stdout=subprocess.PIPE) as source:
        measured = subprocess.run(
            [sys.executable, "-c", MEASURED],
            cwd=folder,
            stdin=source.stdout,
            capture_output=True,
            timeout=240,
        )
    assert measured.returncode == 0, measured.stderr
    return int(measured.stderr)


def test_memory_is_bounded_whatever_the_size_of_the_log(tmp_path: Path) -> None:
    little = peak_kb(tmp_path, 10_000_000)
    much = peak_kb(tmp_path, 300_000_000)
    assert much < little + 20_000
    assert much < 100_000
    requests = figures(tmp_path)["all"]["requests"]  # type: ignore[index]
    assert requests > 290_000


def test_no_server_imports_it() -> None:
    code = (
        "import sys, portico, portico.cli, portico.commands.run, portico.process.supervisor, "
        "portico.process.worker\n"
        "print([name for name in sys.modules if name.startswith('portico.report')])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
