"""`pilaster cache`: show and clear cached simulator builds."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["add_command"]

HELP = """\
Show the number and total size of cached RTL simulators, or remove them with --clear.

Pilaster builds a simulator for each machine and caches it under a digest of its Verilog, compiler
flags, compiler, and processor, so each machine is built only once.
"""


def add_command(commands: Any) -> None:
    """Add `cache` to the command line."""
    command = commands.add_parser(
        "cache",
        help="show or clear cached RTL simulators",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--clear", action="store_true", help="remove all cached simulators")
    command.set_defaults(handler=_cache)


def _cache(options: argparse.Namespace) -> int:
    from pilaster.base.errors import InputError
    from pilaster.rtl.toolchain.build_cache import MOST_BYTES, clear_builds, kept_builds

    try:
        kept = clear_builds() if options.clear else kept_builds()
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be removed: {error.strerror}") from error
    if kept.folder is None:
        print("nothing is kept: no home directory; set XDG_CACHE_HOME")
        return 0
    builds = f"{kept.builds:,} build{'s' * (kept.builds != 1)}"
    size = f"{kept.bytes / 1e6:,.1f} MB"
    if options.clear:
        print(f"removed {builds}, {size}, from {kept.folder}")
    else:
        print(f"{builds}, {size} of at most {MOST_BYTES / 1e6:,.0f} MB, in {kept.folder}")
    return 0
