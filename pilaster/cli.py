"""The command line: `pilaster COMMAND`."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from typing import Any, NoReturn, TextIO

from pilaster import __version__
from pilaster.base.errors import CheckError, InputError
from pilaster.commands.console import replace_unprintable

__all__ = ["main"]

EXIT_CHECK_FAILED = 1
EXIT_BAD_INPUT = 2


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        line = " ".join(message.split())
        if "arguments are required: NETWORK" in line and any(a.nargs == "+" for a in self._actions):
            line += "; put NETWORK before options that take several values"
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {line} (try {self.prog} --help)\n")


def command_parser() -> argparse.ArgumentParser:
    """Create the command-line parser."""
    parser = _Parser(
        prog="pilaster",
        description="Simulate column-wise CNN accelerators: values, cycles, and energy.",
        epilog="Exit codes: 0 success, 1 a check failed, 2 invalid usage or input.",
    )
    parser.add_argument("--version", action="version", version=f"pilaster {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    from pilaster.commands import (
        bitstream,
        cache,
        characterize,
        check,
        explore,
        host,
        listing,
        map,  # noqa: A004 - the command's name
        power,
        reproduce,
        rtl,
        run,
        verify,
    )

    run.add_command(commands)
    check.add_command(commands)
    map.add_command(commands)
    explore.add_command(commands)
    rtl.add_command(commands)
    verify.add_command(commands)
    power.add_command(commands)
    characterize.add_command(commands)
    bitstream.add_command(commands)
    host.add_command(commands)
    reproduce.add_command(commands)
    cache.add_command(commands)
    listing.add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    replace_unprintable()
    options = command_parser().parse_args(arguments)
    try:
        with _told_apart():
            code: int = options.handler(options)
            if sys.stdout is not None:  # it is None where the caller has closed it
                sys.stdout.flush()
    except InputError as error:
        print(f"pilaster: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except CheckError as error:
        print(f"pilaster: {error}", file=sys.stderr)
        return EXIT_CHECK_FAILED
    except KeyboardInterrupt:
        print("pilaster: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _drop_output()
        return 0
    except _OutputError as error:
        _drop_output()
        print(f"pilaster: output cannot be written: {error.strerror}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except OSError as error:
        print(f"pilaster: {_cause(error)}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return code


class _OutputError(OSError):
    """Standard output cannot be written."""


class _Output:
    """Standard output, whose errors are distinct from those of other files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _as_output():
            return self._stream.write(text)

    def flush(self) -> None:
        with _as_output():
            self._stream.flush()


@contextmanager
def _as_output() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _OutputError(error.errno, error.strerror) from error


def _told_apart() -> AbstractContextManager[object]:
    return nullcontext() if sys.stdout is None else redirect_stdout(_Output(sys.stdout))


def _cause(error: OSError) -> str:
    """Tell in one line what the system refused."""
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {reason}"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame.name for frame in frames if "pilaster" in frame.filename] or ["main"]
    return f"the system refused: {reason}, in {ours[-1]}"


def _drop_output() -> None:
    """Send the rest of standard output nowhere, so that the final flush does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
