"""The operator did wrong: one clear sentence that says what, where, what was expected and what was got.

The two other families of errors live elsewhere: a peer's mistakes in `crates/wire`, an application's
in the bridge (`src/wsgi/`). Imported by every process; imports nothing.
"""

EXIT_FINE = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_APPLICATION = 3
EXIT_BIND = 4


class OperatorError(Exception):
    """A mistake in how portico was called or set up.

    `message` is one sentence for a human, without a trailing full stop; `exit_code` is the status that the
    process ends with (one of the EXIT constants of this module).
    """

    def __init__(self, message: str, *, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class LoadError(OperatorError):
    """The application cannot be found under the name that was given, or is none that can be served."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=EXIT_APPLICATION)


class BindError(OperatorError):
    """`address` (a portico.config.addresses.Address) cannot be listened on, for `reason`.

    `is_in_use`: because somebody else does.
    """

    def __init__(self, address: object, reason: str, *, is_in_use: bool = False) -> None:
        super().__init__(f"cannot listen on {address}: {reason}", exit_code=EXIT_BIND)
        self.is_in_use = is_in_use


def raise_mistakes(sentences: "list[str]", where: str = "") -> None:
    """Raise OperatorError with all `sentences`, if there are any, and how many; `where` is a file."""
    if sentences:
        head = [f"{len(sentences)} mistakes{f' in {where}' if where else ''}"] if len(sentences) > 1 else []
        raise OperatorError("\n".join([*head, *sentences]))


def after_colon(why: str) -> str:
    """Return `why` as the end of a sentence; a traceback begins on a line of its own."""
    return f":\n{why}" if "\n" in why else f": {why}"


def reason_of(error: BaseException) -> str:
    """Return what `error` says, for a sentence: without the number that the system has, but with its file."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    file = error.filename
    if isinstance(file, bytes):
        file = file.decode("utf-8", "backslashreplace")
    return f"{quoted(file)}: {error.strerror}" if isinstance(file, str) else error.strerror


def quoted(text: str, *, longest: int = 80) -> str:
    """Return `text` as it may stand in a sentence: quoted, escaped, shortened to `longest` characters."""
    if len(text) > longest:
        text = text[:longest] + "..."
    return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
