"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pilaster.models.quantizer import MOST_BITS

if TYPE_CHECKING:
    from numpy import generic
    from numpy.typing import NDArray

    from pilaster.models.network import Network

__all__ = [
    "NETWORK_HELP",
    "add_clock",
    "add_image_count",
    "add_images",
    "add_libraries",
    "add_load_weights",
    "add_machine",
    "add_network",
    "add_reading",
    "add_schedule",
    "frequency",
    "load_calibration",
    "load_network",
    "whole_number",
]

NETWORK_HELP = "a name from `pilaster networks`, or a .tflite or .onnx file"

LOWEST_MHZ, HIGHEST_MHZ = 1e-6, 1e6


def add_network(command: argparse.ArgumentParser) -> None:
    """Add NETWORK and the options that control how it is read."""
    command.add_argument("network", metavar="NETWORK", help=NETWORK_HELP)
    add_reading(command)


def add_reading(command: argparse.ArgumentParser) -> None:
    """Add the options that control how a network is read."""
    command.add_argument(
        "--columns",
        choices=("width", "height"),
        default="width",
        help="image axis along which columns arrive, one at a time (default: width)",
    )
    command.add_argument(
        "--calibration",
        metavar="D",
        type=Path,
        help="images on which to quantize a float network, or a network from a file with --bits; "
        "formats as for `pilaster run --data`",
    )
    command.add_argument(
        "--bits",
        metavar="W[:A]",
        type=_widths,
        help="requantize the network to W-bit weights and A-bit activations; W alone sets both "
        "(default: the network's own widths)",
    )


def add_machine(command: argparse.ArgumentParser) -> None:
    """Add the machine that the network runs on."""
    command.add_argument(
        "--machine", metavar="M", help="a name from `pilaster machines`, or a YAML file"
    )


def add_load_weights(command: argparse.ArgumentParser) -> None:
    """Add the option that loads weights through a stream."""
    command.add_argument(
        "--load-weights",
        action="store_true",
        help="load weights and biases through a stream instead of building them into the design",
    )


def add_images(command: argparse.ArgumentParser, default: int) -> None:
    """Add the images to run and their number."""
    command.add_argument(
        "--data", metavar="D", type=Path, help="images, in the formats of `pilaster run`"
    )
    add_image_count(command, default)


def add_image_count(command: argparse.ArgumentParser, default: int) -> None:
    """Add the number of images."""
    command.add_argument(
        "--images",
        metavar="N",
        type=whole_number(1),
        default=default,
        help=f"number of images (default: {default})",
    )


def add_clock(command: argparse.ArgumentParser) -> None:
    """Add an optional clock."""
    command.add_argument(
        "--clock-mhz",
        metavar="F",
        type=frequency,
        help="clock in MHz; required to compute power and leakage energy",
    )


def add_schedule(command: argparse.ArgumentParser) -> None:
    """Add the schedules that the stages may use."""
    command.add_argument(
        "--schedule",
        metavar="WHICH",
        default="scatter",
        help="schedule of the stages: scatter, gather, or both (default: scatter)",
    )


def add_libraries(command: argparse.ArgumentParser, clock_mhz: float) -> None:
    """Add the cell library, its macros, and the clock that the gates must meet."""
    command.add_argument(
        "--liberty",
        metavar="LIB",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        help="Liberty files of the standard cells, plain or .gz: one file, all files that make up "
        "the library, or a folder that contains them. Put NETWORK before this option",
    )
    command.add_argument(
        "--sram",
        metavar="LIB",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        help="Liberty files of single-port SRAM macros",
    )
    command.add_argument(
        "--clock-mhz",
        metavar="F",
        type=frequency,
        default=clock_mhz,
        help=f"clock in MHz (default: {clock_mhz:g})",
    )
    command.add_argument(
        "--node-nm",
        metavar="NM",
        type=whole_number(1),
        help="technology node of the library in nm; a Liberty file does not state it (default: "
        "known for public libraries, by name)",
    )


def load_network(options: argparse.Namespace) -> Network:
    """Load the network given by the options of `add_network`."""
    import pilaster as pl

    images = load_calibration(options)
    return pl.load(options.network, columns=options.columns, calibration=images, bits=options.bits)


def load_calibration(options: argparse.Namespace) -> NDArray[generic] | None:
    """Load the images of --calibration."""
    from pilaster.models.datasets import load as load_images

    return None if options.calibration is None else load_images(options.calibration).images


def _widths(text: str) -> tuple[int, int]:
    weights, colon, activations = text.partition(":")
    widths = (weights, activations if colon else weights)
    if not all(width.isdecimal() and 1 <= int(width) <= MOST_BITS for width in widths):
        raise argparse.ArgumentTypeError(f"must be W or W:A, each from 1 to {MOST_BITS}: {text!r}")
    return int(widths[0]), int(widths[1])


def whole_number(least: int) -> Callable[[str], int]:
    """Return a parser for whole numbers of at least `least`."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least}, not {text!r}")
        return int(text)

    return number


def frequency(text: str) -> float:
    """Read a frequency in MHz."""
    value = float(text)
    if not LOWEST_MHZ <= value <= HIGHEST_MHZ:
        raise argparse.ArgumentTypeError(f"must be from 1 Hz to 1 THz in MHz, not {text}")
    return value


frequency.__name__ = "number"
