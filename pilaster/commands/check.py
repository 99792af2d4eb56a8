"""`pilaster check`: compare an imported network with the runtime of its file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilaster.commands.options import add_reading, load_calibration, whole_number

if TYPE_CHECKING:
    from pilaster.models.check import Check, LayerError

__all__ = ["add_command"]

HELP = """\
Run MODEL in its own runtime and compare the results with Pilaster's, for each layer that has a
matching tensor in the file. The runtime is LiteRT with its reference kernels for .tflite files, and
onnxruntime without optimizations for .onnx files.

  integers      for a quantized file: each layer, computed from the runtime's input to that layer
  reals         for a float file: the network as imported, before quantization
  error         for a network that Pilaster quantizes: its integers as real numbers, in steps

The exit code is 1 if a difference exceeds the limits in docs/importing.md.
"""

EXAMPLES = """\
examples:
  pilaster check model.tflite                   on seeded noise
  pilaster check model.tflite --data images.npy --images 20
  pilaster check model.onnx --calibration images.npy    a float network
"""


def add_command(commands: Any) -> None:
    """Add `check` to the command line."""
    command = commands.add_parser(
        "check",
        help="compare an imported network with the runtime of its file",
        description=HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("network", metavar="MODEL", help="a .tflite or .onnx file")
    add_reading(command)
    command.add_argument(
        "--data",
        metavar="D",
        type=Path,
        help="images, in the formats of `pilaster run` (default: the calibration images if given, "
        "otherwise seeded noise)",
    )
    command.add_argument(
        "--images",
        metavar="N",
        type=whole_number(1),
        default=None,
        help="number of images (default: 4)",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object and no table")
    command.set_defaults(handler=_check)


def _check(options: argparse.Namespace) -> int:
    import pilaster as pl
    from pilaster.api.checks import DEFAULT_IMAGES
    from pilaster.commands.progress import Progress

    with Progress("images", options.images or DEFAULT_IMAGES) as progress:
        found = pl.check(
            options.network,
            options.data,
            count=options.images,
            columns=options.columns,
            calibration=load_calibration(options),
            bits=options.bits,
            progress=progress.show,
        )
    if options.json:
        print(json.dumps(found.as_dict(), allow_nan=False))
    else:
        _print(found)
    return 0 if found.holds else 1


def _print(check: Check) -> None:
    from pilaster.commands.console import number, print_table, word

    reals = check.numbers == "reals"
    rows = []
    for layer in check.layers:
        largest = f"{layer.largest:.1e}" if reals else f"{layer.largest:g}"
        verdict = "DEPARTS" if layer.departs else "rounding" if layer.differing else "equal"
        counts = (f"{layer.values:,}", f"{layer.differing:,}")
        rows.append((layer.name, layer.tensor, *counts, largest, verdict))
    counted = map(number, ("values", "differ", "share" if reals else "steps"))
    print_table([word("layer"), word("tensor"), *counted, word("verdict")], rows)
    if check.errors:
        print()
        titles = ("values", "rms", "largest", "beyond 1", "saturated")
        errors = [
            (
                error.name,
                f"{error.values:,}",
                f"{error.rms_steps:.2f}",
                f"{error.largest_steps:.2f}",
                f"{error.beyond_one / error.values:.1%}",
                f"{error.saturated / error.values:.1%}",
            )
            for error in check.errors
        ]
        print_table([word("quantized here"), *map(number, titles)], errors)
    print()
    for line in _sentences(check):
        print(line)


def _sentences(check: Check) -> list[str]:
    """Tell what was found: of the layers, of quantizing, and of what was not compared."""
    on = f"on {check.images} image{'' if check.images == 1 else 's'} ({check.data})"
    told = []
    if check.unnamed:
        told.append(f"no tensor of the file to compare with: {', '.join(check.unnamed)}")
    if check.error is not None:
        told += _of_quantizing(check, check.error)
    if check.departs is not None:
        layer = check.departs
        far = f"{layer.largest:g} steps"
        if check.numbers == "reals":
            far = f"{layer.largest:.1e} of the largest"
        told.append(
            f"{check.file} DEPARTS from {check.runtime} first at {layer.name} (tensor "
            f"{layer.tensor}), {on}: {layer.differing:,} of {layer.values:,} values differ, by "
            f"{far} at most"
        )
        return told
    values = sum(layer.values for layer in check.layers)
    differing = sum(layer.differing for layer in check.layers)
    what = "no value differs"
    if check.numbers == "reals":
        what = "as reals, no value differs by more than single precision makes"
    if differing:
        what = f"{differing:,} differ, where single precision makes a half either integer"
    told.append(
        f"{check.file} is what {check.runtime} computes {on}: {len(check.layers)} tensors, "
        f"{values:,} values, {what}"
    )
    if check.output is not None and check.output.differing:
        told.append(
            f"of the answers, {check.output.differing:,} of {check.output.values:,} values differ, "
            f"by {check.output.largest_steps} steps at most"
        )
    return told


def _of_quantizing(check: Check, error: LayerError) -> list[str]:
    promised = check.promised_rms_steps
    limit = "nothing is promised of such widths"
    if promised is not None:
        limit = f"{promised:g} are promised"
        if not check.error_is_promised:
            limit = f"MORE than the {promised:g} promised; calibrate on images like these"
    within = 1 - error.beyond_one / error.values
    return [
        f"quantized here: the answer is {error.rms_steps:.2f} steps away (root mean square; "
        f"{limit}), {error.largest_steps:.2f} at most, {within:.1%} of it within one step; "
        f"{check.same_class} of {check.images} images get the same class"
    ]
