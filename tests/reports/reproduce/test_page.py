"""The page on reproduction says what the committed results say."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reproduce.md").read_text()
PUBLISHED = ROOT / "reports" / "published"
CLOCKED = ("eyeriss65-clocked", "horowitz45-clocked", "ihp130-clocked")


@pytest.mark.parametrize("network", ["lenet5", "alexnet", "vgg16"])
def test_power_saved(network: str) -> None:
    summary = json.loads((PUBLISHED / "sensors2023" / "summary.json").read_text())
    found = {
        row["table"]: row
        for row in summary["networks"]
        if (row["network"], row["varies"]) == (network, "interval")
    }
    cells = [
        f"{100 * found[table]['least_power_saved']:.1f} to "
        f"{100 * found[table]['most_power_saved']:.1f} %"
        for table in CLOCKED
    ]
    published = f"{100 * summary['published']['power_saved'][network]:.2f} %"
    assert f"| {network} | {' | '.join(cells)} | 0 % | {published} |" in PAGE


def test_statements() -> None:
    summary = json.loads((PUBLISHED / "sensors2023" / "summary.json").read_text())
    for row in summary["statements"]:
        if row["measure"].startswith("power") and row["varies"] != "network":
            series = ", ".join(f"{100 * saved:.1f}" for saved in row["saved"])
            assert f"| {series} % |" in PAGE


def test_sensitivities() -> None:
    with (PUBLISHED / "sensors2023" / "reductions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["objective"] == "power"]
    for study, key in (("slack", "latency_share"), ("widths", "bits"), ("clock", "clock_mhz")):
        for value in {row[key] for row in rows if row["study"] == study}:
            saved = {
                row["network"]: f"{100 * float(row['power_saved']):.1f} %"
                for row in rows
                if row["study"] == study and row[key] == value
            }
            assert " | ".join(saved[name] for name in ("lenet5", "alexnet", "vgg16")) in PAGE


def test_eyeriss() -> None:
    titles = {"alexnet": "AlexNet", "vgg16": "VGG-16"}
    with (PUBLISHED / "eyeriss" / "layers.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if not row["layer"].startswith("conv")]
    assert len(rows) == 4
    for row in rows:
        how = "pipeline" if row["layer"].startswith("pipeline") else "a layer at a time"
        cells = next(
            line.split("|")[2:-1]
            for line in PAGE.splitlines()
            if line.startswith(f"| {titles[row['network']]}, {how} |")
        )
        keys = ("ms", "chip_ms", "clocked_mj", "chip_mj", "dram_mb", "chip_dram_mb", "memory_kb")
        for cell, key in zip(cells, keys, strict=True):
            assert float(cell.replace(",", "")) == pytest.approx(float(row[key]), rel=0.02)
