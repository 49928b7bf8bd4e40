"""The fixture of the tests of processes: a portico of one's own."""

from process.conftest import start as start
