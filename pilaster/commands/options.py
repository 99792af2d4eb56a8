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

NETWORK_HELP = "a name that `pilaster networks` lists, or a .tflite or .onnx file"

LOWEST_MHZ, HIGHEST_MHZ = 1e-6, 1e6


def add_network(command: argparse.ArgumentParser) -> None:
    """Add NETWORK, and how it is read."""
    command.add_argument("network", metavar="NETWORK", help=NETWORK_HELP)
    add_reading(command)


def add_reading(command: argparse.ArgumentParser) -> None:
    """Add how a network is read."""
    command.add_argument(
        "--columns",
        choices=("width", "height"),
        default="width",
        help="axis of an image that arrives a column at a time (default: width)",
    )
    command.add_argument(
        "--calibration",
        metavar="D",
        type=Path,
        help="images to quantize a file's network on, as for --data of `pilaster run`: one of "
        "floats, or one that is to have other --bits",
    )
    command.add_argument(
        "--bits",
        metavar="W[:A]",
        type=_widths,
        help="width of weights and activations, or of each: quantize the network anew "
        "(default: the widths it comes with)",
    )


def add_machine(command: argparse.ArgumentParser) -> None:
    """Add the machine that the network runs on."""
    command.add_argument(
        "--machine", metavar="M", help="a name that `pilaster machines` lists, or a YAML file"
    )


def add_load_weights(command: argparse.ArgumentParser) -> None:
    """Add the choice of where the RTL has its weights from."""
    command.add_argument(
        "--load-weights",
        action="store_true",
        help="load weights and biases through a stream, instead of having them in the design",
    )


def add_images(command: argparse.ArgumentParser, default: int) -> None:
    """Add images to run, with how many where it is not said."""
    command.add_argument("--data", metavar="D", type=Path, help="images, as for `pilaster run`")
    add_image_count(command, default)


def add_image_count(command: argparse.ArgumentParser, default: int) -> None:
    """Add how many images."""
    command.add_argument(
        "--images",
        metavar="N",
        type=whole_number(1),
        default=default,
        help=f"how many images (default: {default})",
    )


def add_clock(command: argparse.ArgumentParser) -> None:
    """Add a clock that may be left out."""
    command.add_argument(
        "--clock-mhz", metavar="F", type=frequency, help="clock in MHz: for power, and for leakage"
    )


def add_schedule(command: argparse.ArgumentParser) -> None:
    """Add which schedules the stages may have."""
    command.add_argument(
        "--schedule",
        metavar="WHICH",
        default="scatter",
        help="of the stages: scatter, gather or both (default: scatter)",
    )


def add_libraries(command: argparse.ArgumentParser, clock_mhz: float) -> None:
    """Add the cell library and its macros, and the clock that gates are sized for."""
    command.add_argument(
        "--liberty",
        metavar="LIB",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        help="Liberty files of the standard cells, plain or .gz: one, or all that make up the "
        "library; a folder stands for all in it. Put NETWORK before this option",
    )
    command.add_argument(
        "--sram",
        metavar="LIB",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        help="Liberty files of SRAM macros of one port",
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
        help="technology node of the library, which a Liberty file does not tell (default: that "
        "of a public library, by its name)",
    )


def load_network(options: argparse.Namespace) -> Network:
    """Load the network that the options of `add_network` name."""
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
    """Give what reads a whole number of at least `least`."""

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
