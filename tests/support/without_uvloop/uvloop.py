"""Hides uvloop, installed for tests that want it, from servers that have this folder in their path."""

raise ImportError("hidden by the tests")
