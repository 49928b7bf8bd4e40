"""Preconditions, in the order of RFC 9110 13.2.2."""

from __future__ import annotations

import pytest
from portico.middleware.conditional import is_range_due, status_due

ETAG = '"v2"'
MODIFIED_S = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT, as in RFC 9110 5.6.7
NOW = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"
OTHER_FORMS = {"rfc850": "Sunday, 06-Nov-94 08:49:37 GMT", "asctime": "Sun Nov  6 08:49:37 1994"}


def fields(**values: str) -> dict[str, str]:
    return {"REQUEST_METHOD": "GET"} | {f"HTTP_{name.upper()}": value for name, value in values.items()}


@pytest.mark.parametrize(
    ("given", "status"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"if_none_match": '"v2"'}, 304, id="same-tag"),
        pytest.param({"if_none_match": 'W/"v2"'}, 304, id="weakly-the-same"),
        pytest.param({"if_none_match": '"v1", W/"x" ,"v2"'}, 304, id="one-of-several"),
        pytest.param({"if_none_match": "*"}, 304, id="any-tag"),
        pytest.param({"if_none_match": '"v1"'}, None, id="other-tag"),
        pytest.param({"if_none_match": '"v1"', "if_modified_since": NOW}, None, id="tag-before-date"),
        pytest.param({"if_none_match": '"a, "v2""'}, None, id="broken-tags"),
        pytest.param({"if_modified_since": NOW}, 304, id="same-date"),
        pytest.param({"if_modified_since": AFTER}, 304, id="later-date"),
        pytest.param({"if_modified_since": BEFORE}, None, id="earlier-date"),
        *(pytest.param({"if_modified_since": date}, 304, id=form) for form, date in OTHER_FORMS.items()),
        pytest.param({"if_modified_since": "yesterday"}, None, id="no-date"),
        pytest.param({"if_modified_since": "Sun, 06 Nov 99999 08:49:37 GMT"}, None, id="date-out-of-range"),
        pytest.param({"if_match": '"v2"'}, None, id="match"),
        pytest.param({"if_match": "*"}, None, id="match-any"),
        pytest.param({"if_match": '"v1"'}, 412, id="no-match"),
        pytest.param({"if_match": 'W/"v2"'}, 412, id="weak-match-is-none"),
        pytest.param({"if_match": '"v1"', "if_none_match": '"v2"'}, 412, id="if-match-first"),
        pytest.param({"if_unmodified_since": BEFORE}, 412, id="modified"),
        pytest.param({"if_unmodified_since": NOW}, None, id="unmodified"),
        pytest.param({"if_match": '"v2"', "if_unmodified_since": BEFORE}, None, id="match-before-date"),
    ],
)
def test_status_that_is_due(given: dict[str, str], status: int | None) -> None:
    found = status_due(fields(**given), ETAG, MODIFIED_S)
    assert (int(found[:3]) if found else None) == status


def test_other_methods_know_no_304() -> None:
    post = {"REQUEST_METHOD": "POST"}
    assert status_due(fields(if_none_match="*") | post, ETAG, MODIFIED_S) == "412 Precondition Failed"
    assert status_due(fields(if_modified_since=NOW) | post, ETAG, MODIFIED_S) is None


@pytest.mark.parametrize(
    ("given", "is_due"),
    [
        pytest.param({}, True, id="none"),
        pytest.param({"if_range": '"v2"'}, True, id="same-tag"),
        pytest.param({"if_range": '"v1"'}, False, id="other-tag"),
        pytest.param({"if_range": 'W/"v2"'}, False, id="weak-tag"),
        pytest.param({"if_range": NOW}, True, id="same-date"),
        pytest.param({"if_range": AFTER}, False, id="later-date"),
        pytest.param({"if_range": "yesterday"}, False, id="no-date"),
    ],
)
def test_a_range_is_sent_of_what_the_client_has(given: dict[str, str], is_due: bool) -> None:
    assert is_range_due(fields(**given), ETAG, MODIFIED_S) is is_due
