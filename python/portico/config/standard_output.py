"""Standard output by its names in the file system."""

STANDARD_OUTPUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
"""Not to be opened: where it is a socket, or another user's pipe, that fails."""
