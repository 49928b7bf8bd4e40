"""The live server of docs/embedding.md, composed of portico's classes: requests are served by the engine."""

from __future__ import annotations

from live_server import PorticoLiveServerTestCase  # written by test_django.py

from embedding.live_cases import Asks


class ComposedTest(Asks, PorticoLiveServerTestCase):
    pass
