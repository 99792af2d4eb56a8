"""The text of a Liberty file as nested groups."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pilaster.models.errors import InputError

__all__ = ["Group", "read_groups", "unpacked"]

_TOKEN = re.compile(
    r'"((?:[^"\\]|\\.)*)"'  # text
    r"|([(){};:,])"
    r'|([^\s(){};:,"]+)'  # a word
    r"|(\s+)"
)
_COMMENT = re.compile(r"/\*.*?\*/|\\[ \t]*\r?\n", re.DOTALL)


@dataclass
class Group:
    """A group of attributes and groups, such as a cell or a pin.

    Attributes
    ----------
    attributes : values by name; of one that is given again, the last
    """

    kind: str
    names: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its first argument; empty where it has none."""
        return self.names[0] if self.names else ""

    def of(self, *kinds: str) -> Iterator[Group]:
        """Groups in it that are of some kinds."""
        return (group for group in self.groups if group.kind in kinds)

    def text(self, name: str, default: str = "") -> str:
        """Value of an attribute."""
        values = self.attributes.get(name)
        return values[0] if values else default

    def number(self, name: str, default: float = 0.0) -> float:
        """Value of an attribute that is a number."""
        text = self.text(name)
        if not text:
            return default
        try:
            return float(text)
        except ValueError:
            raise InputError(f"{self.kind} {self.name}: {name}: {text!r} is no number") from None

    def numbers(self, name: str) -> list[list[float]]:
        """Rows of numbers of an attribute, each a text of its own."""
        rows = self.attributes.get(name, ())
        try:
            return [[float(word) for word in row.replace(",", " ").split()] for row in rows]
        except ValueError:
            raise InputError(f"{self.kind} {self.name}: {name}: no rows of numbers") from None


def unpacked(path: Path) -> bytes:
    """Read a file, plain or packed by gzip."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def read_groups(path: Path) -> Group:
    """Read a Liberty file, plain or packed by gzip; gives its library.

    Raises
    ------
    InputError
        If it cannot be read, or is no Liberty file.
    """
    try:
        text = unpacked(path).decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no Liberty file: it is no text") from None
    text = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
    reader = _Reader(path, text)
    found = reader.group()
    if found is None or found.kind != "library":
        raise InputError(f"{path}: is no Liberty file: it does not begin with a library")
    return found


class _Reader:
    """Reads statement after statement; the place is that of the next token."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text
        self.place = 0
        self.kind, self.value, self.after = "", "", 0
        self.advance()

    def advance(self) -> None:
        """Find the next token that is no white space."""
        while self.place < len(self.text):
            found = _TOKEN.match(self.text, self.place)
            if found is None:
                raise self.error()
            start, self.place = self.place, found.end()
            if found[4] is None:
                self.after = start
                if found[2] is not None:
                    self.kind, self.value = found[2], found[2]
                else:
                    self.kind = "word"
                    self.value = found[1] if found[1] is not None else found[3]
                return
        self.kind, self.value, self.after = "end", "", len(self.text)

    def error(self) -> InputError:
        line = self.text.count("\n", 0, min(self.after, len(self.text))) + 1
        seen = repr(self.value) if self.value else "the end of the file"
        return InputError(f"{self.path}: is no Liberty file: line {line}: {seen} is out of place")

    def group(self) -> Group | None:
        """Read one statement; gives it where it is a group of its own."""
        holder = Group("", ())
        self.statement(holder)
        return holder.groups[0] if holder.groups else None

    def statement(self, holder: Group) -> None:
        if self.kind != "word":
            raise self.error()
        name = self.value
        self.advance()
        if self.kind == ":":
            self.advance()
            words = []
            line_end = self.text.find("\n", self.after)
            while self.kind in ("word", ",", "(", ")") and (self.after < line_end or line_end < 0):
                words.append(self.value)
                self.advance()
            holder.attributes[name] = (" ".join(words),)
            if self.kind == ";":
                self.advance()
            return
        if self.kind != "(":
            raise self.error()
        self.advance()
        values = []
        while self.kind in ("word", ",", ":"):
            if self.kind == "word":
                values.append(self.value)
            self.advance()
        if self.kind != ")":
            raise self.error()
        self.advance()
        if self.kind != "{":
            holder.attributes[name] = tuple(values)
            if self.kind == ";":
                self.advance()
            return
        self.advance()
        group = Group(name, tuple(values))
        while self.kind != "}":
            self.statement(group)
        self.advance()
        if self.kind == ";":
            self.advance()
        holder.groups.append(group)
