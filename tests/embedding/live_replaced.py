"""Django's own live server, whose classes are built on portico's and take the I/O: served as without
portico."""

from __future__ import annotations

import portico.simple_server
from django.core.servers import basehttp
from django.test import LiveServerTestCase

from embedding.live_cases import Asks


class ReplacedTest(Asks, LiveServerTestCase):
    is_engine = False

    def test_django_builds_on_portico(self) -> None:
        assert issubclass(basehttp.ThreadedWSGIServer, portico.simple_server.WSGIServer)
