"""The same project with `wsgiref.simple_server` replaced before Django builds its servers on that."""

from __future__ import annotations

import sys
import wsgiref.simple_server

import portico.simple_server

wsgiref.simple_server = sys.modules["wsgiref.simple_server"] = portico.simple_server

from embedding.django_project import *  # noqa: E402, F403
