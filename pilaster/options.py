"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pilaster.models.network import Network

__all__ = ["add_network", "load_network", "whole_number"]


def add_network(command: argparse.ArgumentParser) -> None:
    """Add NETWORK, how it is read, and the machine it runs on."""
    command.add_argument(
        "network",
        metavar="NETWORK",
        help="a name that `pilaster networks` lists, or a .tflite or .onnx file",
    )
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
        help="images to quantise a float .onnx file on, as for --data of `pilaster run`",
    )
    command.add_argument(
        "--machine", metavar="M", help="a name that `pilaster machines` lists, or a YAML file"
    )


def load_network(options: argparse.Namespace) -> Network:
    """Load the network that the options of `add_network` name."""
    from pilaster.api import load
    from pilaster.models.datasets import load as load_images

    images = None if options.calibration is None else load_images(options.calibration).images
    return load(options.network, columns=options.columns, calibration=images)


def whole_number(least: int) -> Callable[[str], int]:
    """Give what reads a whole number of at least `least`."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least}, not {text!r}")
        return int(text)

    return number
