"""The C++ compiler: find it, compile many files at once, link them.

Nothing between us and the compiler: no make, whose flags, variables and rules about spaces in paths
would be a user's as much as ours.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pilaster.base.errors import InputError

__all__ = ["Compiler", "LoggedError", "find_compiler", "run_logged", "usable_processors"]

STANDARD = ("-std=gnu++17", "-pthread")
NATIVE = "-march=native"
COMPILERS = ("g++", "c++", "clang++")


class LoggedError(InputError):
    """A program has failed; the message names its log, which stays."""


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler.

    Attributes
    ----------
    command : words that start it, such as ``ccache g++``
    native : flags that make use of all that this processor has; none where it knows none
    identity : what it predefines: its version, and the processor it compiles for
    """

    command: tuple[str, ...]
    native: tuple[str, ...]
    identity: str

    def compile(
        self, jobs: Iterable[tuple[str, Sequence[str]]], flags: Sequence[str], folder: Path
    ) -> list[str]:
        """Compile files in `folder`, as many at once as there are processors.

        Parameters
        ----------
        jobs : source, relative to `folder`, and its own flags
        flags : of all

        Returns
        -------
        list of str
            The objects, relative to `folder`.

        Raises
        ------
        LoggedError
            If a file does not compile.
        """
        commands, objects = [], []
        for source, own in jobs:
            objects.append(f"{Path(source).stem}.o")
            options = [*STANDARD, *flags, *own, "-c", source, "-o", objects[-1]]
            commands.append([*self.command, *options])
        _run_all(commands, folder)
        return objects

    def link(self, objects: Sequence[str], program: str, folder: Path) -> Path:
        """Link objects in `folder` to a program there."""
        _run_all([[*self.command, *STANDARD, *objects, "-o", program]], folder)
        return folder / program


def find_compiler() -> Compiler:
    """Find the compiler that CXX names, or the system's.

    Raises
    ------
    InputError
        If there is none, or it does not run.
    """
    named = os.environ.get("CXX", "").strip()
    if named:
        try:
            command = tuple(shlex.split(named))
        except ValueError as error:
            raise InputError(f"CXX={named}: no command: {error}") from error
        if shutil.which(command[0]) is None:
            raise InputError(f"CXX={named}: {command[0]} is not on PATH; unset CXX, or install it")
    else:
        found = next(filter(shutil.which, COMPILERS), None)
        if found is None:
            raise InputError("a C++ compiler is missing: apt install g++")
        command = (found,)
    for native in ((NATIVE,), ()):
        told = _ask(command, native)
        if told.returncode == 0:
            return Compiler(command, native, told.stdout)
    why = next(iter(told.stderr.strip().splitlines()), f"exit code {told.returncode}")
    raise InputError(f"the C++ compiler {shlex.join(command)} does not run: {why}")


def _ask(command: Sequence[str], flags: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Have a compiler tell its macros."""
    asked = [*command, *STANDARD, *flags, "-dM", "-E", "-x", "c++", os.devnull]
    try:
        return subprocess.run(
            asked, capture_output=True, text=True, errors="replace", check=False, env=environment()
        )
    except OSError as error:
        raise InputError(f"the C++ compiler {command[0]} does not run: {error.strerror}") from error


def usable_processors() -> int:
    """How many programs may run at once."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment(**changes: str) -> dict[str, str]:
    """Give a program the user's environment, but messages in English."""
    kept = {name: value for name, value in os.environ.items() if name != "LANGUAGE"}
    return {**kept, "LC_ALL": "C", **changes}


def run_logged(command: Sequence[str], folder: Path, log: Path, **variables: str) -> None:
    """Run a program in `folder`, its output added to `log`.

    Raises
    ------
    LoggedError
        If it fails: the first line of its output that speaks of an error, and where the log is.
    """
    _Processes().run(command, folder, log, variables)


def _run_all(commands: Sequence[Sequence[str]], folder: Path) -> None:
    """Run commands side by side in `folder`; where one fails, or we are interrupted, end all."""
    running = _Processes()
    # What a compiler leaves when it is ended goes with the folder.
    variables = {"TMPDIR": str(folder)}
    with ThreadPoolExecutor(usable_processors()) as pool:
        tasks = [
            pool.submit(running.run, command, folder, folder / f"build{number}.log", variables)
            for number, command in enumerate(commands)
        ]
        try:
            for task in tasks:
                task.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            running.end()
            raise


class _Processes:
    """Programs that run, each with those that it has started."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()

    def run(
        self, command: Sequence[str], folder: Path, log: Path, variables: dict[str, str]
    ) -> None:
        with log.open("ab") as out:
            try:
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=environment(**variables),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    process_group=0,
                )
            except OSError as error:
                raise LoggedError(f"{command[0]} does not run: {error.strerror}") from error
            self._running.add(process)
            try:
                code = process.wait()
            except BaseException:
                self.end()
                raise
            self._running.discard(process)
        if code:
            first = _first_error(log) or f"{command[0]} ended with {code}"
            raise LoggedError(f"{first}; all of it: {log}")

    def end(self) -> None:
        for process in list(self._running):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _first_error(log: Path) -> str:
    """Tell the first line of a log that speaks of an error."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
    marked = (line for line in lines if "error" in line.lower())
    return next(marked, next((line for line in lines if line), ""))
