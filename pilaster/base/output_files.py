"""Output files: a folder of files, each written completely or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pilaster.base.errors import InputError

__all__ = ["check_own", "check_writable", "copy_file", "write_files"]


def check_writable(directory: Path, names: Iterable[str], what: str) -> None:
    """Check that files of these names can be written into `directory`, without side effects.

    Parameters
    ----------
    what : what the files are, for the message

    Raises
    ------
    InputError
        If it is no directory and cannot become one, or cannot be written.
    """
    names = list(names)
    created: list[Path] = []
    with _explained(directory, what):
        try:
            _prepare(directory, names, what, created)
            with _temporaries(directory, {names[0]: b""}):
                pass
        finally:
            _remove(created)


def check_own(directory: Path, mark: str, what: str) -> None:
    """Check that a directory to overwrite is new, empty, or contains only earlier output.

    Parameters
    ----------
    mark : name of a file that every such directory has
    what : what the files are, for the message

    Raises
    ------
    InputError
        If other files are there: they may have the names of ours.
    """
    if not directory.is_dir() or (directory / mark).is_file():
        return
    found = sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))
    if found:
        raise InputError(
            f"{directory}: the {what} cannot be written: the directory has other files, such as "
            f"{found[0]}, and no {mark} of an earlier {what}; name a new directory"
        )


def write_files(
    directory: Path, contents: Mapping[str, bytes], what: str, outdated: Iterable[str] = ()
) -> tuple[Path, ...]:
    """Move files into place once all are on disk. Existing files are replaced.

    Parameters
    ----------
    contents : by file name
    what : what the files are, for the message
    outdated : files of an earlier time, which go unless they are among the new ones

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    InputError
        If the directory cannot be made or written; nothing is left behind.
    """
    created: list[Path] = []
    with _explained(directory, what):
        try:
            _prepare(directory, contents, what, created)
            with _temporaries(directory, contents) as temporaries:
                for name, temporary in temporaries.items():
                    temporary.replace(directory / name)
            for name in set(outdated) - set(contents):
                (directory / name).unlink(missing_ok=True)
        except BaseException:
            _remove(created)
            raise
    return tuple(directory / name for name in contents)


def copy_file(source: Path, path: Path, what: str) -> None:
    """Move a copy of a file into place once all of it is on disk.

    Parameters
    ----------
    what : what the file is, for the message

    Raises
    ------
    InputError
        If it cannot be written; nothing is left behind.
    """
    temporary = path.with_name(_temporary_name(path.name))
    with _explained(path.parent, what):
        try:
            shutil.copyfile(source, temporary)
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def _explained(directory: Path, what: str) -> Iterator[None]:
    """Turn an error of the file system into one line about the directory."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(
            f"{directory}: the {what} cannot be written: {reason}; name another directory"
        ) from error


def _prepare(directory: Path, names: Iterable[str], what: str, created: list[Path]) -> None:
    """Make the directory; add to `created` what had to be made, outermost first."""
    missing = []
    place = directory
    while not place.exists() and place != place.parent:
        missing.append(place)
        place = place.parent
    if not place.is_dir():
        raise InputError(
            f"{directory}: the {what} cannot be written: {place} is a file; name a directory"
        )
    for path in reversed(missing):
        path.mkdir()
        created.append(path)
    for name in names:
        if (directory / name).is_dir():
            raise InputError(
                f"{directory}: the {what} cannot be written: {directory / name} is a directory, "
                f"where a file would be; remove it or name another directory"
            )


@contextmanager
def _temporaries(directory: Path, contents: Mapping[str, bytes]) -> Iterator[dict[str, Path]]:
    """Write contents to new files beside their places; those still there at the end go."""
    temporaries = {name: directory / _temporary_name(name) for name in contents}
    try:
        for name, content in contents.items():
            with temporaries[name].open("xb") as file:
                file.write(content)
        yield temporaries
    finally:
        for temporary in temporaries.values():
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _temporary_name(name: str) -> str:
    return f".{name}.{secrets.token_hex(4)}.tmp"


def _remove(created: list[Path]) -> None:
    """Remove directories that are empty, innermost first."""
    for path in reversed(created):
        with suppress(OSError):
            path.rmdir()
