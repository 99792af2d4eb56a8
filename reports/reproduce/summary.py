"""Summary of the multi-cycle study, next to the published results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from pilaster.reports.reproduce.sensors2023 import (
    ASSUMPTIONS,
    CLOCKED,
    FAMILIES,
    FAMILY_CENTER,
    FAMILY_INTERVALS,
    POWER_TABLE,
    PUBLISHED,
    SOURCE,
    Reduction,
    Study,
)

__all__ = ["network_rows", "statement_rows", "summary"]

SAVED = 0.0005
"""Shares that differ by less are called equal: a twentieth of a percent."""

Row = dict[str, Any]


def summary(study: Study) -> Row:
    """Give published and computed reductions, the statements and the assumptions, for JSON."""
    return {
        "published": {"source": SOURCE, "power_saved": PUBLISHED},
        "assumptions": list(ASSUMPTIONS),
        "networks": list(network_rows(study.reductions)),
        "statements": list(statement_rows(study.reductions)),
    }


def network_rows(rows: Sequence[Reduction]) -> Iterator[Row]:
    """Give the range of the power reduction of every network, by what varies and by table."""
    for name, published in PUBLISHED.items():
        for study in ("interval", "free idling", "slack", "widths", "clock"):
            found = [
                row
                for row in rows
                if (row.network, row.study, row.objective) == (name, study, "power")
            ]
            for table in dict.fromkeys(row.table for row in found):
                saved = [row.power_saved for row in found if row.table == table]
                yield {
                    "network": name,
                    "varies": study,
                    "table": table,
                    "least_power_saved": min(saved),
                    "most_power_saved": max(saved),
                    "published_power_saved": published,
                }


def statement_rows(rows: Sequence[Reduction]) -> Iterator[Row]:
    """Hold the published statements to every series of networks.

    "grows" is whether no step falls and the last is above the first; "ends higher" the latter
    alone.
    """
    for family, sizes in FAMILIES.items():
        for interval in FAMILY_INTERVALS:
            of_family = [
                row
                for row in rows
                if row.study == family and row.column_interval_cycles == interval
            ]
            others = {key: value for key, value in FAMILY_CENTER.items() if key != family}
            where = {"column_interval_cycles": interval, "others": others}
            power = {int(r.network): r.power_saved for r in of_family if r.objective == "power"}
            lanes = {int(r.network): r.lanes_saved for r in of_family if r.objective == "lanes"}
            if power and lanes:
                yield _verdict(family, f"power by {POWER_TABLE}", where, sizes, power)
                yield _verdict(family, "lanes", where, sizes, lanes)
    for table in CLOCKED:
        best = {}
        for place, name in enumerate(PUBLISHED):
            saved = [
                row.power_saved
                for row in rows
                if (row.study, row.network, row.table) == ("interval", name, table)
                and row.objective == "power"
            ]
            if saved:
                best[place] = max(saved)
        if len(best) == len(PUBLISHED):
            where = {"networks": list(PUBLISHED), "taken": "the most of all intervals"}
            yield _verdict("network", f"power by {table}", where, range(len(PUBLISHED)), best)


def _verdict(
    varies: str, measure: str, where: Row, sizes: Sequence[int], saved: dict[int, float]
) -> Row:
    series = [saved[size] for size in sizes]
    higher = series[-1] > series[0] + SAVED
    rising = all(after >= before - SAVED for before, after in pairwise(series))
    return {
        "varies": varies,
        "measure": measure,
        **where,
        "sizes": list(sizes),
        "saved": series,
        "grows": higher and rising,
        "ends_higher": higher,
    }
