"""The text of a Liberty file as nested groups."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pilaster.base.errors import InputError

__all__ = ["Group", "library_text", "read_groups"]

_COMMENT = r"/\*.*?\*/|//[^\n]*"
_STRING = r'"(?:[^"\\]|\\.)*"'

_TOKEN = re.compile(
    rf"(?P<space>(?:\s+|\\[ \t]*\r?\n|{_COMMENT})+)"
    rf"|(?P<string>{_STRING})"
    r"|(?P<mark>[(){};:,])"
    r'|(?P<word>(?:[^\s(){};:,"\\/]|/(?![*/]))+)',
    re.DOTALL,
)
_INCLUDE = re.compile(
    rf'{_COMMENT}|{_STRING}|\binclude_file\s*\(\s*"?(?P<file>[^")]+?)"?\s*\)\s*;?', re.DOTALL
)
_CONTINUED = re.compile(r"\\[ \t]*\r?\n")
_ESCAPE = re.compile(r"\\(?:[ \t]*\r?\n|(.))", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*")
_OPERATOR = re.compile(r"[-+*/]")

_MOST_INCLUDED = 16
"""Files that include each other, one in the other, at most."""


@dataclass
class Group:
    """A group of attributes and groups, such as a cell or a pin.

    Attributes
    ----------
    kind : in lower case, as are the names of attributes
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
        return values[0].strip() if values else default

    def word(self, name: str, default: str = "") -> str:
        """Value of an attribute that is one of some words, in lower case."""
        return self.text(name, default).lower()

    def flag(self, name: str) -> bool:
        """Whether an attribute is true; one that is not given is not."""
        return self.word(name, "false") not in ("false", "0")

    def number(self, name: str, default: float = 0.0) -> float:
        """Value of an attribute that is a number."""
        text = self.text(name)
        if not text:
            return default
        try:
            return float(text)
        except ValueError:
            raise InputError(f"{self.kind} {self.name}: {name}: {text!r} is no number") from None

    def numbers(self, name: str) -> list[float]:
        """Numbers of an attribute, row after row, whether each row is a text of its own or not."""
        rows = self.attributes.get(name, ())
        try:
            return [float(word) for row in rows for word in row.replace(",", " ").split()]
        except ValueError:
            raise InputError(f"{self.kind} {self.name}: {name}: no rows of numbers") from None


def library_text(path: Path) -> str:
    """Text of a Liberty file, plain or packed by gzip, with the files that it includes in it.

    A file that is not in UTF-8 is read as Latin-1: only comments and texts have other letters.

    Raises
    ------
    InputError
        If it cannot be read, or is no text.
    """
    return _with_includes(path, 0)


def _with_includes(path: Path, depth: int) -> str:
    if depth > _MOST_INCLUDED:
        raise InputError(f"{path}: files include each other more than {_MOST_INCLUDED} deep")

    def included(found: re.Match[str]) -> str:
        name = found["file"]
        return found[0] if name is None else _with_includes(path.parent / name, depth + 1)

    text = _read(path)
    return _INCLUDE.sub(included, text) if "include_file" in text else text


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if b"\0" in content:
        raise InputError(f"{path}: is no Liberty file: it is no text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_groups(path: Path) -> Group:
    """Read a Liberty file, plain or packed by gzip; gives its library.

    Raises
    ------
    InputError
        If it cannot be read, or is no Liberty file.
    """
    reader = _Reader(path, library_text(path))
    found = reader.library()
    if found is None or found.kind != "library":
        raise InputError(f"{path}: is no Liberty file: it does not begin with a library")
    return found


_Token = tuple[str, str, int, bool]
"""Kind ("word", "string", "end", or the mark itself), value, place, and whether a line ended."""


class _Reader:
    """Reads statement after statement; `kind` and `value` are those of the next token."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text
        self.tokens = list(self._tokens())
        self.next = 0
        self.kind, self.value, *_ = self.tokens[0]

    def _tokens(self) -> Iterator[_Token]:
        place, after_line = 0, False
        for found in _TOKEN.finditer(self.text):
            if found.start() != place:
                break
            kind, value, place = found.lastgroup, found[0], found.end()
            if kind == "space":
                after_line = "\n" in _CONTINUED.sub("", value)
                continue
            if kind == "mark":
                yield value, value, found.start(), after_line
            elif kind == "word":
                yield kind, value, found.start(), after_line
            else:
                value = value[1:-1]
                if "\\" in value:
                    value = _ESCAPE.sub(lambda escaped: escaped[1] or "", value)
                yield "string", value, found.start(), after_line
            after_line = False
        if place != len(self.text):
            raise self.error(self.text[place], place)
        yield "end", "", len(self.text), True

    def advance(self) -> str:
        """Go to the next token; gives the value of the one that was."""
        passed = self.value
        self.next += 1
        self.kind, self.value, *_ = self.tokens[self.next]
        return passed

    def error(self, value: str, place: int) -> InputError:
        line = self.text.count("\n", 0, place) + 1
        seen = repr(value) if value else "the end of the file"
        return InputError(f"{self.path}: is no Liberty file: line {line}: {seen} is out of place")

    def misplaced(self) -> InputError:
        return self.error(self.value, self.tokens[self.next][2])

    def library(self) -> Group | None:
        """Read one statement; gives it where it is a group."""
        holder = Group("", ())
        while self.kind == ";":
            self.advance()
        self.statement(holder)
        return holder.groups[0] if holder.groups else None

    def statement(self, holder: Group) -> None:
        if self.kind == ";":
            self.advance()
            return
        if self.kind not in ("word", "string"):
            raise self.misplaced()
        name = self.advance().lower()
        if self.kind == ":":
            self.advance()
            holder.attributes[name] = (self.simple_value(),)
        elif self.kind == "(":
            values = self.arguments()
            if self.kind == "{":
                holder.groups.append(self.group(name, values))
            else:
                holder.attributes[name] = values
        else:
            raise self.misplaced()
        if self.kind == ";":
            self.advance()

    def simple_value(self) -> str:
        """Read a value up to its semicolon, or to the next statement where that is missing."""
        words: list[str] = []
        while self.kind not in (";", "{", "}", "end"):
            if words and not _OPERATOR.fullmatch(words[-1]):
                after_line, following = self.tokens[self.next][3], self.tokens[self.next + 1][0]
                starts = self.kind == "word" and _NAME.fullmatch(self.value)
                if after_line or (starts and following in (":", "(")):
                    break
            words.append(self.advance())
        return " ".join(words)

    def arguments(self) -> tuple[str, ...]:
        """Read arguments in parentheses; a range such as A[3:0] is one."""
        self.advance()
        values: list[str] = []
        in_range = False
        while self.kind != ")":
            if self.kind == ":" and values:
                values[-1] += self.advance()
                in_range = True
            elif self.kind == ",":
                self.advance()
            elif self.kind not in ("word", "string"):
                raise self.misplaced()
            elif in_range:
                values[-1] += self.advance()
                in_range = False
            else:
                values.append(self.advance())
        self.advance()
        return tuple(values)

    def group(self, kind: str, names: tuple[str, ...]) -> Group:
        self.advance()
        group = Group(kind, tuple(name.strip() for name in names))
        while self.kind != "}":
            self.statement(group)
        self.advance()
        return group
