"""The folder of an exploration: its request, and the chunks that are done."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pilaster.base.errors import InputError
from pilaster.base.output_files import check_writable, write_files
from pilaster.sim.explore.draw import Chunk, Drawn

__all__ = ["Store"]

REQUEST = "request.json"
CHUNKS = "chunks"
FOLDS = "folds"
"""Key of the request's file that tells the folds drawn from."""


@dataclass(frozen=True)
class Store:
    """Chunks in a folder, each written whole or not at all once it is done."""

    folder: Path

    def check(self, request: dict[str, Any]) -> None:
        """See that the folder can be written, and is not that of another request.

        Raises
        ------
        InputError
            If it is not so; nothing is left behind.
        """
        check_writable(self.folder, [REQUEST], "exploration")
        path = self.folder / REQUEST
        if not path.exists():
            if (self.folder / CHUNKS).exists():
                raise InputError(f"{self.folder}: has {CHUNKS} but no {REQUEST}; name another")
            return
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            there = None
        if not isinstance(there, dict):
            raise InputError(f"{path}: is not the request of an exploration; name another folder")
        for key, value in request.items():
            if there.get(key) != value:
                what = (
                    "other folds, by another version of Pilaster"
                    if key == FOLDS
                    else (f"{key} {_text(there.get(key))} instead of {_text(value)}")
                )
                raise InputError(
                    f"{self.folder}: holds the exploration of another request, with {what}; "
                    f"name another folder"
                )

    def begin(self, request: dict[str, Any], folds: str) -> None:
        """Write the request, or see that it is the one that was begun."""
        whole = {**request, FOLDS: folds}
        self.check(whole)
        if not (self.folder / REQUEST).exists():
            text = json.dumps(whole, indent=2) + "\n"
            write_files(self.folder, {REQUEST: text.encode()}, "exploration")

    def write(self, chunk: Chunk, drawn: Drawn) -> None:
        """Keep a chunk that is done."""
        file = io.BytesIO()
        np.savez(file, machine=drawn.machine, latency=drawn.latency, choice=drawn.choice)
        write_files(self.folder / CHUNKS, {_name(chunk): file.getvalue()}, "exploration")

    def read(self, chunk: Chunk) -> Drawn | None:
        """Read a chunk; None if it is not done."""
        path = self.folder / CHUNKS / _name(chunk)
        try:
            with np.load(path) as arrays:
                return Drawn(arrays["machine"], arrays["latency"], arrays["choice"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{path}: is not a chunk of an exploration; remove it and it is made anew"
            ) from error


def _name(chunk: Chunk) -> str:
    return f"{chunk.number:06}.npz"


def _text(value: object) -> str:
    return json.dumps(value)
