"""The version stands in Cargo.toml for the wheel and in the package for cheap imports."""

import portico
from portico import _core


def test_package_and_engine_have_the_same_version() -> None:
    assert portico.__version__ == _core.__version__
