"""CPython's own tests of wsgiref, with `wsgiref.simple_server` replaced by portico's: all of them pass."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest

from .embedded import ENVIRONMENT

REPLACED = """
import sys, unittest, wsgiref.simple_server
import portico.simple_server
wsgiref.simple_server = sys.modules["wsgiref.simple_server"] = portico.simple_server

from test import test_wsgiref
assert test_wsgiref.WSGIServer is portico.simple_server.WSGIServer
assert test_wsgiref.make_server is portico.simple_server.make_server
unittest.main(module=test_wsgiref, argv=["test_wsgiref"])
"""


def has_suite() -> bool:
    try:
        return importlib.util.find_spec("test.test_wsgiref") is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.skipif(not has_suite(), reason="this Python came without its package `test` (test.test_wsgiref)")
def test_the_standard_librarys_own_tests_pass() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", REPLACED], env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    ran = re.search(r"^Ran (\d+) tests in", ended.stderr, re.MULTILINE)
    assert ran is not None
    assert int(ran[1]) > 30
