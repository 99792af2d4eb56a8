"""`pilaster host`: send images to a board, or to a simulated one, and print its answers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilaster.commands.options import NETWORK_HELP, add_image_count, add_reading, load_network

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pilaster.models.network import Network
    from pilaster.rtl.boards.folder import BuildDescription
    from pilaster.rtl.host.actions import Compared
    from pilaster.rtl.host.client import Host, HostAnswer
    from pilaster.rtl.host.session import Session
    from pilaster.sim.pipeline import Pipeline

__all__ = ["add_command"]

HELP = """\
Send images to a board column by column over its serial line, compare every output value with the
reference, and print the answers, their latency, and the throughput.

--simulate runs the board's top-level design in Verilator behind a pseudo-terminal, at the board's
clock and baud rate. --live reads columns from standard input, one byte per row and channel, sends
each column as soon as it is complete, and prints each answer as it arrives. --actions compares the
action counts of every stage on the device with the model's counts for the same images.

The exit code is 1 if a value or a count differs, or if the device does not respond.
"""

DEFAULT_IMAGES = 10


def add_command(commands: Any) -> None:
    """Add `host` to the command line."""
    command = commands.add_parser(
        "host",
        help="send images to a board or a simulated board",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "build", metavar="BUILD", type=Path, help="a folder written by `pilaster bitstream`"
    )
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", metavar="P", help="serial port of the board, such as /dev/ttyUSB0")
    where.add_argument("--simulate", action="store_true", help="run the board in Verilator")
    command.add_argument(
        "--network", metavar="NETWORK", help=f"{NETWORK_HELP} (default: the network of the build)"
    )
    add_reading(command)
    what = command.add_mutually_exclusive_group()
    what.add_argument(
        "--data", metavar="D", type=Path, help="images, in the formats of `pilaster run`"
    )
    what.add_argument("--live", action="store_true", help="read columns from standard input")
    add_image_count(command, DEFAULT_IMAGES)
    command.add_argument(
        "--actions",
        action="store_true",
        help="compare action counts; requires a build with --counters",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object and no table")
    command.set_defaults(handler=_host)


def _host(options: argparse.Namespace) -> int:
    import pilaster as pl
    from pilaster.base.errors import InputError
    from pilaster.base.extras import needing
    from pilaster.data import images_for
    from pilaster.sim.pipeline import Pipeline

    with needing("the host", "fpga"):
        from pilaster.rtl.boards.folder import read_build
        from pilaster.rtl.host.actions import compare
        from pilaster.rtl.host.client import Host, LinkError
        from pilaster.rtl.host.session import judge
        from pilaster.rtl.host.wire_format import WireFormat
        from pilaster.rtl.names import in_hardware

    build = read_build(options.build)
    options.network = options.network or build.network
    network = load_network(options)
    pipeline = in_hardware(Pipeline(network, pl.load_machine(build.machine, network)))
    wire = WireFormat(pipeline, build.loaded, build.counters)
    if wire.design != build.design:
        raise InputError(
            f"{options.build}: machine.yaml or the network is another than when it was built; "
            f"give the network as it was built (--network, --columns, --bits), or build anew"
        )
    if options.actions and not build.counters:
        raise InputError(
            f"--actions: {options.build} counts none; build it with `pilaster bitstream --counters`"
        )
    dataset = None if options.live else images_for(network, options.data, options.images)
    with _link(options, build, pipeline) as link:
        try:
            host = Host(link, wire)
            info = host.connect()
            if info.unloaded:
                _load(host, len(wire.load_pieces))
            before = host.counters()
            if dataset is None:
                values, answers = _live(host, network, info.clock_hz, not options.json)
            else:
                values = network.encode(dataset.images)
                answers = _answers(host, values)
            after = host.counters()
            counts = host.actions() if options.actions else None
        except LinkError as error:
            print(f"pilaster: {build.board}: {error}", file=sys.stderr)
            return 1
    labels = None if dataset is None or dataset.labels is None else dataset.labels.tolist()
    session = judge(
        network,
        values,
        answers,
        labels,
        board=build.board,
        cycles=after.cycles - before.cycles,
        clock_hz=info.clock_hz,
        retries=host.retries,
    )
    report = session.as_dict()
    compared: tuple[Compared, ...] = ()
    if counts is not None:
        since = values[len(values) - host.answered :]
        compared = compare(pipeline, since, counts)
        report["actions"] = {"images": len(since), "counts": [vars(each) for each in compared]}
    if options.json:
        print(json.dumps(report))
    else:
        if compared:
            _print_actions(compared, host.answered)
        print(_text(session))
    return 1 if session.wrong_images or not all(each.equal for each in compared) else 0


def _print_actions(compared: Sequence[Compared], images: int) -> None:
    from pilaster.commands.console import number, print_table, word

    rows = [
        (
            *(each.stage, each.action, f"{each.device:,}", f"{each.model:,}"),
            "" if each.equal else "DIFFERS",
        )
        for each in compared
    ]
    print_table([*map(word, ("stage", "action")), *map(number, ("device", "model", ""))], rows)
    wrong = sum(not each.equal for each in compared)
    told = f"{wrong} of {len(compared)} counts DIFFER from" if wrong else "all counts are"
    print(f"actions of {images} image(s), since the device was last reset: {told} the model's\n")


def _load(host: Host, pieces: int) -> None:
    """Load the weights."""
    from pilaster.commands.progress import Progress

    with Progress("pieces of the weights", pieces) as progress:
        for done in host.load():
            progress.show(done)


def _answers(host: Host, values: NDArray[np.int32]) -> list[HostAnswer]:
    """Send images (N, H, W, C) back to back."""
    from pilaster.commands.progress import Progress

    answers: list[HostAnswer] = []
    with Progress("images", len(values)) as progress:
        for answer in host.answers(values):
            answers.append(answer)
            progress.show(len(answers))
    return answers


def _live(
    host: Host, network: Network, clock_hz: int, shown: bool
) -> tuple[NDArray[np.int32], list[HostAnswer]]:
    """Send columns from standard input until it ends; gives the images (N, H, W, C) too."""
    import numpy as np

    from pilaster.base.errors import InputError
    from pilaster.rtl.host.session import answer_class

    shape = network.graph.input_shape
    size = shape.height * shape.channels
    columns: list[NDArray[np.int32]] = []

    def come() -> Iterator[NDArray[np.int32]]:
        while column := sys.stdin.buffer.read(size):
            if len(column) < size:
                raise InputError(
                    f"standard input ends in the middle of a column: {len(column)} of {size} bytes"
                )
            values = np.frombuffer(column, np.uint8).reshape(shape.height, shape.channels)
            columns.append(network.encode_column(values))
            yield columns[-1]

    answers: list[HostAnswer] = []
    for answer in host.live(come()):
        if shown:
            cycles = answer.latency_cycles
            after = "" if cycles is None else f", {cycles / clock_hz * 1e6:,.1f} us after its end"
            print(f"image {len(answers)}: class {answer_class(answer)}{after}", flush=True)
        answers.append(answer)
    if not answers:
        raise InputError("standard input: no columns came")
    images = np.stack(columns).reshape(-1, shape.width, shape.height, shape.channels)
    return images.transpose(0, 2, 1, 3), answers


@contextmanager
def _link(
    options: argparse.Namespace, build: BuildDescription, pipeline: Pipeline
) -> Iterator[Any]:
    from pilaster.rtl.host.serial_link import SerialLink

    if options.simulate:
        from pilaster.rtl.host.simulated import SimulatedBoard

        with SimulatedBoard(
            pipeline, build.clock_hz, build.baud, loaded=build.loaded, counts=build.counters
        ) as board:
            link = SerialLink(board.port, build.baud)
            try:
                yield link
            finally:
                link.close()
        return
    link = SerialLink(options.port, build.baud)
    try:
        yield link
    finally:
        link.close()


def _text(session: Session) -> str:
    lines = ["answers: " + " ".join(map(str, session.classes))]
    if session.labels is not None:
        lines.append(f"labels:  {' '.join(map(str, session.labels))}")
    told = "all values are the reference's"
    if session.wrong_images:
        told = f"values DIFFER from the reference's in images {list(session.wrong_images)}"
    latency = session.latency_us
    last = "the last column in the machine"
    after = "" if latency is None else f"; {latency:,.1f} us from {last} to the answer"
    lines.append(
        f"{session.network} on {session.board}: {session.images} image(s), {told}; "
        f"{session.images_per_second:,.1f} images/s over the line at "
        f"{session.clock_hz / 1e6:g} MHz{after}; {session.retries} retries"
    )
    return "\n".join(lines)
