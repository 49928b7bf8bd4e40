"""Which values of `access_log` are the socket of a log daemon: a file of its own, since workers have it."""


def is_log_daemon(access_log: str) -> bool:
    """Say whether `access_log` is the socket of a log daemon, and not a file or a word."""
    return access_log.partition(":")[0] in ("syslog", "journald")
