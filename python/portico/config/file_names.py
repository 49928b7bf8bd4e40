"""What a configuration file is called, and how one is named."""

OWN_NAME = "portico.toml"
SHARED_NAME = "pyproject.toml"
NONE = "none"
"""What is given in place of a path to have no file read."""
VARIABLE = "PORTICO_CONFIG"
OWN_TABLE = ("tool", "portico")
"""What is ours in a file that is shared."""
