"""What the tests of a Django site ask of its live server; run by Django's own runner (test_django.py)."""

from __future__ import annotations

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class Asks:
    """Mixed into a LiveServerTestCase."""

    is_engine = True
    live_server_url: str

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(self.live_server_url + path, timeout=20) as response:
            return json.load(response)

    def test_pages_show_what_the_test_has_written(self) -> None:
        from django.contrib.auth.models import User

        User.objects.create_user("ada")
        assert self.ask("/users/") == {"users": ["ada"]}

    def test_database_is_empty_again_in_the_next_test(self) -> None:
        assert self.ask("/users/") == {"users": []}

    def test_calls_run_at_the_same_time(self) -> None:
        with ThreadPoolExecutor(3) as executor:
            places = executor.map(lambda _: self.ask("/meet/")["place"], range(3))
            assert sorted(places) == [0, 1, 2]

    def test_who_serves(self) -> None:
        assert self.ask("/environ/")["is_engine"] is self.is_engine
