"""Applications that the tests serve; `apps.conformance:application` dispatches to most of them."""
