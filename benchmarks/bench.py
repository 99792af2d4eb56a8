"""What Pilaster promises to be fast at, measured on this machine.

Run `python benchmarks/bench.py`; each line gives the median of several runs and the range. Other
work on the machine shows in its load: matrix products on several threads then wait for each other.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median

import numpy as np

import pilaster as pl
from pilaster.data import images_for
from pilaster.models.datasets import embedded_digits, fit
from pilaster.models.reference.network import infer
from pilaster.sim.closed_form import MachineBatch, evaluate
from pilaster.sim.pipeline import Pipeline

RUNS = 5
BATCH_MACHINES = 200_000
INFERRED_IMAGES = 5_000
COLUMN_INTERVALS = range(200, 1000, 10)


def seconds(work: Callable[[], object]) -> list[float]:
    work()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times


def show(what: str, values: list[float], unit: str) -> None:
    low, high = min(values), max(values)
    print(f"{what:<58}{median(values):>14,.2f} {unit}  ({low:,.2f} to {high:,.2f})")


def vgg16_process() -> None:
    command = [sys.executable, "-m", "pilaster", "run", "vgg16", "--images", "0", "--json"]

    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    show("pilaster run vgg16 --images 0 --json, whole process", seconds(run), "s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    show("  its peak memory", [peak], "MiB")


def closed_form() -> None:
    network = pl.load("lenet5")
    rng = np.random.default_rng(0)
    pipelines = [
        Pipeline(network, pl.default_machine(network, interval)) for interval in COLUMN_INTERVALS
    ]
    few = MachineBatch.of(pipelines)
    stages = len(few.variants)
    batch = MachineBatch(
        rows=few.rows,
        column_interval=rng.integers(100, 1000, BATCH_MACHINES),
        variants=few.variants,
        choice=rng.integers(0, len(pipelines), (stages, BATCH_MACHINES)),
    )
    times = seconds(lambda: evaluate(batch))
    rates = [BATCH_MACHINES / t for t in times]
    show("closed form, lenet5, three images each", rates, "machines/s")
    times = seconds(lambda: evaluate(batch, images=1))
    show("closed form, lenet5, one image each", [BATCH_MACHINES / t for t in times], "machines/s")


def inference() -> None:
    network = pl.load("lenet5")
    shape = network.graph.input_shape
    images = fit(embedded_digits("all"), shape.height, shape.width, shape.channels).images
    values = network.encode(np.resize(images, (INFERRED_IMAGES, *images.shape[1:])))
    times = seconds(lambda: infer(network, values))
    show("integer inference, lenet5", [INFERRED_IMAGES / t for t in times], "images/s")


def rtl() -> None:
    for name, layer, count in (("digits", None, 50), ("lenet5", None, 8), ("alexnet", "pool5", 1)):
        network = pl.load(name)
        images = images_for(network, None, count).images
        machine = pl.load_machine(None, network)
        verdict = pl.verify(network, machine, images, until=layer)
        assert verdict.equal
        graph = network.graph if layer is None else network.graph.until(layer)
        rate = count * graph.macs / verdict.simulator_seconds
        what = f"RTL of {name}{f' until {layer}' if layer else ''}, {count} image(s), once"
        show(what, [rate / 1e6], "million MACs/s")
        show("  its build, run and testbench", [verdict.simulator_seconds], "s")


def exploration(network: str, machines: int, intervals: str) -> None:
    command = [sys.executable, "-m", "pilaster", "explore", network, "--column-interval", intervals]
    command += ["--machines", str(machines), "--json", "--out"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            [*command, folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wall = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    show(f"pilaster explore {network}, {machines:,} machines, whole process", [wall], "s")
    show("  its processor time, over all cores", [used], "s")


if __name__ == "__main__":
    print(f"{os.cpu_count()} processors, {os.getloadavg()[0]:.1f} busy in the last minute")
    vgg16_process()
    closed_form()
    inference()
    rtl()
    exploration("lenet5", 100_000, "128:1024")
    exploration("vgg16", 10_000, "8192:65536")
