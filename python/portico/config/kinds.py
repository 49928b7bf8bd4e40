"""The kinds of value a setting can have: how its text is read, and what to say was expected.

A kind is a pair of `expected` (ends the sentence "expected ...") and `parse` (raises ValueError). It also
shows a value as text, for the help and the documentation.
"""

from __future__ import annotations

import os

from portico.config.addresses import FORMS, complete, parse_address
from portico.config.log_daemon import is_log_daemon
from portico.config.unfit import UnfitError
from portico.config.units import format_duration, format_size, parse_duration, parse_size
from portico.config.values import AUTO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generic, TypeVar

    T = TypeVar("T")
else:
    # `typing` would cost every supervised process 1.7 MB for the sake of this one base class.
    T = None

    class Generic:
        def __class_getitem__(cls, _):
            return cls


class Kind(Generic[T]):
    """How one sort of value is read and shown."""

    metavar = "TEXT"
    expected = "some text"
    natives: tuple[type, ...] = (str,)
    """The types that a value may have where there are types: in a configuration file."""
    table_natives: tuple[type, ...] = ()
    """Those that values may have where a table of names stands for all of them; none if it cannot."""

    def parse(self, text: str) -> T:
        """Return the value of `text`; raises ValueError when it is not of this kind."""
        raise NotImplementedError

    def split(self, text: str) -> list[str]:
        """Return the values in an option's `text`: it is a list, if no value can hold a comma."""
        return [text]

    def split_variable(self, text: str, separator: str) -> list[str]:
        """Return the values in the `text` of an environment variable, where `separator` is between them."""
        return text.split(separator)

    def from_folder(self, value: T, folder: str) -> T:
        """Return `value` with its path, if it has one and that is relative, taken from `folder`."""
        return value

    def show(self, value: T) -> str:
        """Return the text that `parse` would read as `value`."""
        return str(value)

    def option(self, flag: str, text: str) -> list[str]:
        """Return the words of a command line that give `text` to `flag`."""
        return [flag, text]


class Text(Kind[str]):
    """Any text that is not empty."""

    def __init__(self, metavar: str, expected: str) -> None:
        self.metavar = metavar
        self.expected = expected

    def parse(self, text: str) -> str:
        if not text.strip():
            raise ValueError
        return text


class Name(Text):
    """What somebody calls something: it stands in lines of logs, which nobody may make up."""

    def __init__(self) -> None:
        super().__init__("NAME", "a name of printable characters")

    def parse(self, text: str) -> str:
        if not text.isprintable():
            raise ValueError
        return super().parse(text)


class Application(Text):
    """A WSGI application: a module or a file, an attribute, the arguments of a factory."""

    def __init__(self) -> None:
        super().__init__("APP", "a module and an application, such as shop.wsgi:application")

    def from_folder(self, value: str, folder: str) -> str:
        # Here, because the supervised processes have this module too, but never read text.
        from portico.app_loader.name import names_file

        target = value.partition(":")[0]
        return os.path.join(folder, value) if names_file(target) else value


class PythonModule(Text):
    """A module by its name, or the path of a file."""

    def __init__(self) -> None:
        super().__init__("MODULE|FILE", "a module such as shop.hooks, or a file such as hooks.py")

    def parse(self, text: str) -> str:
        from portico.app_loader.name import names_file

        text = text.strip()
        if not names_file(text) and not all(part.isidentifier() for part in text.split(".")):
            raise ValueError
        return text

    def from_folder(self, value: str, folder: str) -> str:
        from portico.app_loader.name import names_file

        return os.path.join(folder, value) if names_file(value) else value


class Directory(Text):
    """A directory."""

    def __init__(self) -> None:
        super().__init__("DIR", "a directory")

    def from_folder(self, value: str, folder: str) -> str:
        return os.path.join(folder, value)


class FilePath(Text):
    """A file."""

    def __init__(self) -> None:
        super().__init__("FILE", "a file")

    def from_folder(self, value: str, folder: str) -> str:
        return os.path.join(folder, value)


class LogFile(Text):
    """A file to write lines to, or a word for something else: `-`, perhaps `off`."""

    def __init__(
        self, expected: str = "a file, - for standard output, or off", words: tuple[str, ...] = ("-", "off")
    ) -> None:
        super().__init__("|".join(["PATH", *words]), expected)
        self._words = words

    def parse(self, text: str) -> str:
        word = super().parse(text).strip().lower()
        if word in self._words:
            return word
        if word in _WORDS_ELSEWHERE:
            # Nobody who writes that would look for a file.
            raise UnfitError(f"{self.expected} (./{text.strip()} for a file of that name)", text.strip())
        return text

    def is_file(self, value: str) -> bool:
        """Say whether `value` is the path of a file, and not a word."""
        return value not in self._words

    def from_folder(self, value: str, folder: str) -> str:
        return os.path.join(folder, value) if self.is_file(value) else value


class AccessLog(LogFile):
    """Where access lines go: a file, a word, or the socket of a log daemon, which is the engine's to read."""

    def __init__(self) -> None:
        super().__init__(
            "a file, - for standard output, off, syslog, syslog:udp://HOST:PORT or journald", ("-", "off")
        )
        self.metavar = "PATH|-|off|syslog|journald"

    def parse(self, text: str) -> str:
        word, colon, rest = super().parse(text).partition(":")
        daemon = word.strip().lower()
        return f"{daemon}{colon}{rest.strip()}" if is_log_daemon(daemon) else f"{word}{colon}{rest}"

    def is_file(self, value: str) -> bool:
        return super().is_file(value) and not is_log_daemon(value)


class LogConfig(FilePath):
    """What Python's logging is to be: a file, or, in a configuration file, a table as a plain dict."""

    metavar = "FILE"

    def __init__(self) -> None:
        super().__init__()
        self.expected = "a file of TOML, JSON or INI, or a table for logging.config.dictConfig"

    def show(self, value: Any) -> str:
        if isinstance(value, dict):
            raise ValueError("logconfig is a table that only a configuration file can hold")
        return str(value)


class ProgramName(Text):
    """What a program is called in logs; each of them takes it as it is."""

    def __init__(self) -> None:
        super().__init__("NAME", "a name of up to 32 letters, digits, -, _, . and /")

    def parse(self, text: str) -> str:
        text = super().parse(text).strip()
        plain = text.replace("-", "").replace("_", "").replace(".", "").replace("/", "")
        if len(text) > 32 or not (plain.isascii() and plain.isalnum()):
            raise ValueError
        return text


class WholeNumber(Kind[int]):
    """A whole number within limits."""

    metavar = "N"
    natives = (int,)

    def __init__(self, minimum: int, maximum: int) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self.expected = f"a whole number from {minimum} to {maximum}"

    def parse(self, text: str) -> int:
        text = text.strip()
        if not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise ValueError
        number = int(text)
        if not self.minimum <= number <= self.maximum:
            raise ValueError
        return number


class NumberOrAuto(Kind["int | None"]):
    """A whole number within limits, or `auto`, which is read as None."""

    metavar = "N|auto"
    natives = (int, str)

    def __init__(self, minimum: int, maximum: int) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self._number = WholeNumber(minimum, maximum)
        self.expected = f"{self._number.expected}, or auto"

    def parse(self, text: str) -> int | None:
        return None if text.strip().lower() == "auto" else self._number.parse(text)

    def show(self, value: int | None) -> str:
        return "auto" if value is None else str(value)


class NumberOrShare(Kind[str]):
    """A whole number within limits, or a share of all, such as `25%`; kept as text."""

    metavar = "N|N%"
    natives = (int, str)

    def __init__(self, minimum: int, maximum: int) -> None:
        self._number = WholeNumber(minimum, maximum)
        self._percent = WholeNumber(1, 100)
        self.expected = f"{self._number.expected}, or a share of all such as 25%"

    def parse(self, text: str) -> str:
        text = text.strip()
        if text.endswith("%"):
            return f"{self._percent.parse(text[:-1])}%"
        return str(self._number.parse(text))


class Portion(Kind[float]):
    """A part of all, from 0 to 1."""

    metavar = "SHARE"
    expected = "a share from 0 to 1, such as 0.1 or 10%"
    natives = (str, int, float)

    def parse(self, text: str) -> float:
        text = text.strip()
        percent = text.removesuffix("%")
        value = float(percent)
        if percent != text:
            value /= 100
        if not 0 <= value <= 1:
            raise ValueError
        return value

    def show(self, value: float) -> str:
        return f"{value:g}"


class Duration(Kind[float]):
    """Seconds, written with a unit if one likes."""

    metavar = "S"
    natives = (int, float, str)

    def __init__(self, minimum_s: float, maximum_s: float) -> None:
        self.minimum_s = minimum_s
        self.maximum_s = maximum_s
        limits = f"from {format_duration(minimum_s)} to {format_duration(maximum_s)}"
        self.expected = f"a duration {limits}, such as 30s, 500ms or 2m"

    def parse(self, text: str) -> float:
        duration_s = parse_duration(text)
        if not self.minimum_s <= duration_s <= self.maximum_s:
            raise ValueError
        return duration_s

    def show(self, value: float) -> str:
        return format_duration(value)


class Size(Kind[int]):
    """Bytes, written with a unit if one likes.

    A minimum keeps out the 0 that means "no limit" elsewhere, where it would reject every request.
    """

    metavar = "SIZE"
    natives = (int, str)

    def __init__(self, minimum_bytes: int = 0) -> None:
        self.minimum_bytes = minimum_bytes
        least = f" of at least {format_size(minimum_bytes)}" if minimum_bytes else ""
        self.expected = f"a size in bytes{least}, such as 64K, 10M or 1G"

    def parse(self, text: str) -> int:
        size_bytes = parse_size(text)
        if not self.minimum_bytes <= size_bytes < 1 << 63:
            raise ValueError
        return size_bytes

    def show(self, value: int) -> str:
        return format_size(value)


class Choice(Kind[str]):
    """One of a few words, in any case; `synonyms` are other words for some of them."""

    def __init__(self, *choices: str, synonyms: tuple[tuple[str, str], ...] = ()) -> None:
        self.choices = choices
        self._synonyms = dict(synonyms)
        self.metavar = "|".join(choices)
        self.expected = f"one of {', '.join(choices)}"

    def parse(self, text: str) -> str:
        word = text.strip().lower()
        word = self._synonyms.get(word, word)
        if word not in self.choices:
            raise ValueError
        return word


class SyslogFacility(Choice):
    """By what syslog sorts (RFC 5424 6.2.1)."""

    def __init__(self) -> None:
        super().__init__(
            *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv"),
            *("ftp", "ntp", "audit", "alert", "clock"),
            *("local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
            synonyms=(("security", "auth"),),
        )
        # All of them would fill a line.
        self.metavar = "FACILITY"


class ContentCoding(Choice):
    """A content coding; `none` is an empty list of them."""

    def __init__(self) -> None:
        super().__init__("br", "zstd", "gzip", "none", synonyms=(("x-gzip", "gzip"), ("off", "none")))

    def split(self, text: str) -> list[str]:
        return _at_commas(text)


class MediaType(Kind[str]):
    """A media type without parameters, in which a `*` stands for anything."""

    metavar = "TYPE"
    expected = "a media type such as text/html, text/* or application/*+json"

    def parse(self, text: str) -> str:
        text = text.strip().lower()
        kind, slash, subtype = text.partition("/")
        if not (kind and slash and subtype) or text.count("*") > 1:
            raise ValueError
        if any(not (c.isascii() and (c.isalnum() or c in "!#$&^_.+-*")) for c in kind + subtype):
            raise ValueError
        return text

    def split(self, text: str) -> list[str]:
        return _at_commas(text)


class Flag(Kind[bool]):
    """Yes or no: `--name` and `--no-name` on the command line, a word in the environment."""

    expected = "true or false"
    natives = (bool,)

    def parse(self, text: str) -> bool:
        word = text.strip().lower()
        if word not in ("true", "false"):
            raise ValueError
        return word == "true"

    def show(self, value: bool) -> str:
        return "true" if value else "false"

    def option(self, flag: str, text: str) -> list[str]:
        return [flag if text == "true" else self.opposite(flag)]

    @staticmethod
    def opposite(flag: str) -> str:
        """Return the option that says no: `--no-name`."""
        return flag.replace("--", "--no-", 1)


class AddressText(Kind[str]):
    """An address to listen on, checked but kept as text (it has to pass through an exec)."""

    metavar = "ADDR"
    expected = FORMS

    def parse(self, text: str) -> str:
        return str(parse_address(complete(text.strip())))

    def split(self, text: str) -> list[str]:
        # A path may hold a comma.
        return [text] if "unix:" in text else _at_commas(text)

    def from_folder(self, value: str, folder: str) -> str:
        address = parse_address(value)
        if not address.is_file:
            return value
        address.path = os.path.join(folder, address.path)
        return str(address)


class AdminAddress(AddressText):
    """An address of plain HTTP for those who run the server, or `off`."""

    expected = "HOST:PORT, unix:PATH or off"

    def parse(self, text: str) -> str:
        text = text.strip()
        if text.lower() == "off":
            return "off"
        try:
            address = parse_address(text)
        except ValueError:
            raise ValueError from None  # its own words are of listeners, which may be more
        if address.scheme != "http" or address.is_inherited or address.proxy:
            raise ValueError
        return str(address)

    def split(self, text: str) -> list[str]:
        return [text]

    def from_folder(self, value: str, folder: str) -> str:
        return value if value == "off" else super().from_folder(value, folder)


class StatsdAddress(Kind[str]):
    """Where StatsD takes datagrams, or `off`; a name is looked up by who sends."""

    metavar = "HOST:PORT|unix:PATH|off"
    expected = "HOST:PORT, udp://HOST:PORT, unix:PATH or off"

    def parse(self, text: str) -> str:
        text = text.strip()
        if text.lower() == "off":
            return "off"
        if text.startswith("unix:"):
            path = text.removeprefix("unix:").removeprefix("//")
            if not path or "\0" in path or len(os.fsencode(path)) > _MOST_PATH_BYTES:
                raise ValueError
            return f"unix:{path}"
        host, _, port = text.removeprefix("udp://").rpartition(":")
        plain = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        signs = _WITHOUT_SIGNS if plain != host else _WITHOUT_SIGNS_OF_NAMES
        if not plain.isascii() or not (plain.translate(signs).isalnum() or plain == "::"):
            raise ValueError
        return f"{host}:{WholeNumber(1, 65535).parse(port)}"

    def from_folder(self, value: str, folder: str) -> str:
        prefix, _, path = value.partition("unix:")
        return value if prefix or not path else f"unix:{os.path.join(folder, path)}"


class StatsdPrefix(Kind[str]):
    """What names of metrics begin with; `none` is an empty one, which an environment variable cannot be."""

    metavar = "NAME|none"
    expected = "parts of letters, digits, _ and - with dots between them, such as shop.web, or none"

    def parse(self, text: str) -> str:
        text = text.strip().rstrip(".")
        if text.lower() == "none":
            return ""
        plain = text.replace("_", "").replace("-", "")
        if not plain.isascii() or not all(part.isalnum() for part in plain.split(".")):
            raise ValueError
        return text

    def show(self, value: str) -> str:
        return value or "none"


class StatsdTag(Kind[str]):
    """A tag of DogStatsD."""

    metavar = "TAG"
    expected = "a tag such as env:production, without spaces and without , | and #"

    def parse(self, text: str) -> str:
        text = text.strip()
        if not text or any(not "!" <= each <= "~" or each in ",|#" for each in text):
            raise ValueError
        return text

    def split(self, text: str) -> list[str]:
        return _at_commas(text)


class Network(Kind[str]):
    """Peers: an address, a network, `unix`, `*` or `none`; kept as text (it has to pass through an exec)."""

    metavar = "ADDR"
    expected = "an IP address, a network such as 10.0.0.0/8 (no bits beyond its length), unix, * or none"

    def parse(self, text: str) -> str:
        # Here, because the supervised processes have this module too, but never read text.
        import ipaddress

        text = text.strip().lower()
        if text in ("unix", "*", "none"):
            return text
        if "%" in text:
            raise ValueError  # a zone belongs to one machine's interface, not to a peer
        return str(ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text))

    def split(self, text: str) -> list[str]:
        return _at_commas(text)


class Place(Kind[str]):
    """An IP address with a port; perhaps the path of a Unix socket, or one of a few words. Kept as text."""

    metavar = "ADDR"

    def __init__(self, *words: str, has_paths: bool = False) -> None:
        self._words = words
        self._has_paths = has_paths
        forms = ["HOST:PORT with an IP address", *(["unix:PATH"] if has_paths else []), *words]
        self.expected = f"{', '.join(forms[:-1])} or {forms[-1]}" if len(forms) > 1 else forms[0]

    def parse(self, text: str) -> str:
        # Here for the same reason as in Network.
        import ipaddress

        text = text.strip()
        if text.lower() in self._words:
            return text.lower()
        try:
            address = parse_address(text)
        except ValueError:
            raise ValueError from None  # its own words are of listeners
        is_plain = address.scheme == "http" and not address.is_inherited and str(address) == address.place
        if not is_plain or address.is_abstract or (address.path and not self._has_paths):
            raise ValueError
        if not address.path:
            address.host = "127.0.0.1" if address.host == "localhost" else address.host
            ipaddress.ip_address(address.host)
            if not address.port:
                raise ValueError
        return str(address)

    def split(self, text: str) -> list[str]:
        return _at_commas(text)

    def from_folder(self, value: str, folder: str) -> str:
        prefix, _, path = value.partition("unix:")
        return value if prefix or not path else f"unix:{os.path.join(folder, path)}"


class HaproxyName(Kind[str]):
    """The name of a backend or a server of HAProxy."""

    metavar = "NAME"
    expected = "a name of letters, digits and . : _ -"

    def parse(self, text: str) -> str:
        text = text.strip()
        if not text or not text.isascii() or not text.translate(_WITHOUT_SIGNS).isalnum():
            raise ValueError
        return text


class HaproxyWords(Kind[str]):
    """Words of a command to HAProxy: nothing that ends it."""

    metavar = "TEXT"
    expected = "words of a server line such as check inter 2s, in visible ASCII without ; # \\ or quotes"

    def parse(self, text: str) -> str:
        words = text.split()
        if not words or any(not "!" <= each <= "~" or each in ";#\\\"'" for word in words for each in word):
            raise ValueError
        return " ".join(words)


class UrlPath(Kind[str]):
    """A path as it stands in a request line, without a query."""

    metavar = "PATH"
    expected = "a path of visible ASCII that begins with / and has no ? or #, such as /healthz"

    def parse(self, text: str) -> str:
        text = text.strip()
        if not text.startswith("/") or any(not "!" <= character <= "~" for character in text):
            raise ValueError
        if "?" in text or "#" in text:
            raise ValueError
        return text


class RouteDuration(Kind["tuple[str, float]"]):
    """`PATH=S`, how long something may take for a path and all below it; a path has no comma."""

    metavar = "PATH=S"
    natives = (str,)
    most_characters = 40
    """More of a path may not be known of a call: the scoreboard has 56 bytes with the method."""

    def __init__(self, minimum_s: float, maximum_s: float) -> None:
        self._duration = Duration(minimum_s, maximum_s)
        self.expected = (
            f"a path of at most {self.most_characters} characters that begins with /, = and "
            f"{self._duration.expected.replace('30s, 500ms or 2m', '/export=10m')}"
        )

    def parse(self, text: str) -> tuple[str, float]:
        path, _, duration = text.rpartition("=")
        path = UrlPath().parse(path)
        if "," in path or len(path) > self.most_characters:
            raise ValueError
        return path, self._duration.parse(duration)

    def split(self, text: str) -> list[str]:
        return _at_commas(text)

    def show(self, value: tuple[str, float]) -> str:
        return f"{value[0]}={self._duration.show(value[1])}"


class WarmupUrl(Kind[str]):
    """A path with or without a query, or one with scheme and host before it."""

    metavar = "PATH|URL"
    expected = "a path that begins with /, or a URL such as https://shop.example/, in visible ASCII"

    def parse(self, text: str) -> str:
        text = text.strip()
        scheme, separator, rest = text.partition("://")
        host, slash, _ = rest.partition("/")
        is_url = scheme in ("http", "https") and separator and slash and host
        if "#" in text or not (is_url or text.startswith("/")):
            raise ValueError
        if any(not "!" <= character <= "~" for character in text):
            raise ValueError
        return text

    def split(self, text: str) -> list[str]:
        return _at_commas(text)


class MountPath(Kind[str]):
    """A decoded path, below which something is mounted; without a slash at its end, so that `/` is empty."""

    metavar = "PATH"
    expected = (
        "a path that begins with one /, without . or .. as a part, escapes, ?, # or control characters, "
        "such as /shop"
    )

    def parse(self, text: str) -> str:
        path = text.strip().rstrip("/")
        begins = path.startswith("/") and not path.startswith(("//", "/\\"))
        if path and (not begins or any(character in "%?#" or character < " " for character in path)):
            raise ValueError
        if {".", ".."} & set(path.split("/")):
            raise ValueError  # clients resolve them before they ask
        if not path and text.strip() not in ("", "/"):
            raise ValueError
        path.encode()  # a lone surrogate is no text: UnicodeEncodeError is a ValueError
        return path

    def show(self, value: str) -> str:
        return value or "/"


class StaticDirectory(Kind[str]):
    """`PREFIX=DIR`, a directory whose files are served below a path as MountPath has it; kept as text."""

    metavar = "PREFIX=DIR"
    expected = (
        "a path that begins with one / and has no escapes, ?, # or control characters, = and a directory, "
        "such as /static=public"
    )

    def parse(self, text: str) -> str:
        prefix, _, directory = text.strip().partition("=")
        if not prefix or not directory or "\0" in directory:
            raise ValueError
        mount = MountPath()
        return f"{mount.show(mount.parse(prefix))}={directory}"

    def from_folder(self, value: str, folder: str) -> str:
        prefix, _, directory = value.partition("=")
        return f"{prefix}={os.path.join(folder, directory)}"


class StaticDirectoryOrAuto(StaticDirectory):
    """The same, or `auto`, the directories that the application names when it is loaded."""

    metavar = "PREFIX=DIR|auto"
    expected = f"{StaticDirectory.expected}, or auto"

    def parse(self, text: str) -> str:
        return AUTO if text.strip().lower() == AUTO else super().parse(text)

    def from_folder(self, value: str, folder: str) -> str:
        return value if value == AUTO else super().from_folder(value, folder)


class ErrorPageFile(Kind[str]):
    """`STATUS=FILE`, a file that is the body of responses with that status, or those like it; as text."""

    metavar = "STATUS=FILE"
    expected = "a status from 400 to 599, or 4xx or 5xx, and a file, such as 404=errors/404.html"
    table_natives = (str,)

    def parse(self, text: str) -> str:
        status, _, path = text.strip().partition("=")
        status, path = status.strip().lower(), path.strip()
        is_status = len(status) == 3 and status[0] in "45" and (status[1:] == "xx" or status.isdecimal())
        if not is_status or not path or "\0" in path:
            raise ValueError
        return f"{status}={path}"

    def split(self, text: str) -> list[str]:
        return _at_commas(text)

    def from_folder(self, value: str, folder: str) -> str:
        status, _, path = value.partition("=")
        return f"{status}={os.path.join(folder, path)}"


class LogField(Kind[str]):
    """A field of the access log, by its name."""

    metavar = "FIELD"
    expected = "a field such as header.x-tenant"

    def split(self, text: str) -> list[str]:
        return _at_commas(text)

    def parse(self, text: str) -> str:
        text = text.strip()
        if not text or not all(c.isascii() and (c.isalnum() or c in "._-") for c in text):
            raise ValueError
        return text


class CollectorUrl(Kind[str]):
    """The URL of a collector of OpenTelemetry, or `off`, or `auto` for what the environment says."""

    metavar = "URL"
    expected = "a URL such as http://127.0.0.1:4318, auto or off"

    def split(self, text: str) -> list[str]:
        return [text]

    def parse(self, text: str) -> str:
        text = text.strip()
        if text.lower() in ("auto", "off"):
            return text.lower()
        # Here, because few have one.
        from urllib.parse import urlsplit

        url = urlsplit(text)
        is_plain = text.isascii() and text.isprintable() and not any(c in text for c in " ?#")
        if url.scheme not in ("http", "https") or not url.hostname or url.port == 0 or not is_plain:
            raise ValueError
        return text.rstrip("/")


class HttpField(Kind[str]):
    """`NAME=VALUE`, a header."""

    metavar = "NAME=VALUE"
    expected = "NAME=VALUE, such as api-key=secret"

    def split(self, text: str) -> list[str]:
        return _at_commas(text)

    def parse(self, text: str) -> str:
        name, _, value = (part.strip() for part in text.partition("="))
        is_name = name.isascii() and all(c.isalnum() or c in "!#$%&'*+-.^_`|~" for c in name)
        if not name or not value or not is_name or not (value.isascii() and value.isprintable()):
            raise ValueError
        return f"{name}={value}"


class FieldText(Kind[str]):
    """The value of a header; `none` is an empty one, which an environment variable cannot be."""

    metavar = "TEXT|none"
    expected = "visible ASCII and spaces, or none"

    def parse(self, text: str) -> str:
        text = text.strip()
        if any(not " " <= character <= "~" for character in text):
            raise ValueError
        return "" if text.lower() == "none" else text

    def show(self, value: str) -> str:
        return value or "none"


class EnvironmentVariable(Kind["tuple[str, str]"]):
    """`K=V`, an environment variable."""

    metavar = "K=V"
    expected = "NAME=VALUE"
    table_natives = (str,)

    def parse(self, text: str) -> tuple[str, str]:
        name, equals, value = text.partition("=")
        if not name.strip() or not equals or "\0" in text:
            raise ValueError
        return name.strip(), value

    def show(self, value: tuple[str, str]) -> str:
        return "=".join(value)


class Middleware(Kind["tuple[str, tuple[tuple[str, Any], ...]]"]):
    """`MODULE:NAME`, what is put around the application, perhaps with arguments: `MODULE:NAME(argument=1)`.

    Which arguments there may be knows only what it names. Their values are plain, as in a configuration file,
    where they may be keys of a table.
    """

    metavar = "MODULE:NAME"
    expected = (
        "a module and a name in it, such as portico.middleware:ProxyFix or "
        "portico.middleware:ProxyFix(x_for=2)"
    )

    def parse(self, text: str) -> tuple[str, tuple[tuple[str, Any], ...]]:
        use, parenthesis, rest = text.strip().partition("(")
        module, colon, name = use.partition(":")
        if not colon or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
            raise ValueError
        return use, self._arguments(parenthesis + rest) if parenthesis else ()

    def _arguments(self, call: str) -> tuple[tuple[str, Any], ...]:
        # Here for the same reason as that of Application.
        from portico.app_loader.name import read_arguments
        from portico.errors import LoadError

        try:
            by_place, by_name = read_arguments(call)
        except LoadError:
            raise ValueError from None
        if by_place or not by_name or not all(map(_is_plain, by_name.values())):
            raise ValueError
        return tuple(by_name.items())

    def split_variable(self, text: str, separator: str) -> list[str]:
        found: list[str] = []
        for part in text.split(separator):
            # One that stands among the arguments of the one before.
            if found and "(" in found[-1] and not self._is_whole(found[-1]):
                found[-1] += separator + part
            else:
                found.append(part)
        return found

    def _is_whole(self, text: str) -> bool:
        try:
            self.parse(text)
        except ValueError:
            return False
        return True

    def show(self, value: tuple[str, tuple[tuple[str, Any], ...]]) -> str:
        use, arguments = value
        if not arguments:
            return use
        text = f"{use}({', '.join(f'{name}={argument!r}' for name, argument in arguments)})"
        # A key may be no name of Python's, and a number infinite.
        try:
            is_same = self.parse(text) == value
        except ValueError:
            is_same = False
        if not is_same:
            raise ValueError(f"{use} has arguments that only a configuration file can hold")
        return text


# What says in other places that there is to be nothing, something, or a standard stream.
_WORDS_ELSEWHERE = (
    *("off", "none", "no", "false", "null", "disable", "disabled", "0"),
    *("on", "yes", "true", "enable", "enabled", "1", "auto", "default"),
    *("stdout", "stderr", "stdin", "console"),
)
_WITHOUT_SIGNS = str.maketrans("", "", ".:_-")
_WITHOUT_SIGNS_OF_NAMES = str.maketrans("", "", "._-")
# sun_path of unix(7), without the zero at its end.
_MOST_PATH_BYTES = 107


def _is_plain(value: object) -> bool:
    """Say whether a configuration file could have `value`, and it can cross an exec."""
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    return isinstance(value, str | bool | int | float)


def _at_commas(text: str) -> list[str]:
    return [part for part in map(str.strip, text.split(",")) if part] or [text]
