"""Cycle stamps as a trace for Perfetto or chrome://tracing.

The format is the Trace Event Format of the Chromium project: "X" is work with a duration, "i" an
instant, "M" a name. Its times are microseconds; here one microsecond stands for one cycle.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pilaster.sim.results import Result
from pilaster.sim.stamps import StageStamps

__all__ = ["trace_json"]

PROCESS = 1
INPUT = 0
"""Thread of the columns that wait to be taken."""


def trace_json(result: Result) -> str:
    """Give the work of every stage on every column of the timed images as a trace.

    A stage is a thread, in the network's order. The waiting of a column is from when it was
    accepted until its work started; waiting for the next stage is part of the work. Columns of the
    input that are not taken when they are due wait in a thread of their own.
    """
    events = [*_names(result), *_waits(result)]
    for thread, stamps in enumerate(result.stamps.stages, 1):
        events += _work(thread, stamps)
    for image, cycle in enumerate(result.stamps.answers.tolist()):
        events.append(
            {
                "name": f"answer of image {image}",
                "ph": "i",
                "s": "p",
                "pid": PROCESS,
                "tid": len(result.stages),
                "ts": cycle,
                "args": {"image": image},
            }
        )
    trace = {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "time": "1 us = 1 cycle",
            "network": result.network,
            "machine": result.machine,
            "images": result.stamps.images,
            **result.pace.as_dict(),
        },
    }
    return json.dumps(trace, allow_nan=False, indent=None, separators=(",", ":")) + "\n"


def _names(result: Result) -> Iterator[dict[str, Any]]:
    title = f"{result.network} on {result.machine} (1 us = 1 cycle)"
    yield _name("process_name", INPUT, name=title)
    yield _name("thread_name", INPUT, name="input")
    yield _name("thread_sort_index", INPUT, sort_index=INPUT)
    for thread, stage in enumerate(result.stages, 1):
        yield _name("thread_name", thread, name=stage.name)
        yield _name("thread_sort_index", thread, sort_index=thread)


def _name(kind: str, thread: int, **values: str | int) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": PROCESS, "tid": thread, "args": values}


def _waits(result: Result) -> Iterator[dict[str, Any]]:
    """Give the waiting of every column of the input from when it is due until it is taken."""
    stamps = result.stamps
    columns = zip(stamps.due.ravel().tolist(), stamps.waits.ravel().tolist(), strict=True)
    for index, (due, waits) in enumerate(columns):
        image, column = divmod(index, stamps.columns)
        if waits:
            yield {
                "name": f"column {column} waits",
                "cat": f"image {image}",
                "ph": "X",
                "pid": PROCESS,
                "tid": INPUT,
                "ts": due,
                "dur": waits,
                "args": {"image": image, "column": column, "due": due},
            }


def _work(thread: int, stamps: StageStamps) -> Iterator[dict[str, Any]]:
    columns = stamps.started.shape[1]
    stamped = zip(
        stamps.accepted.ravel().tolist(),
        stamps.started.ravel().tolist(),
        stamps.finished.ravel().tolist(),
        strict=True,
    )
    for index, (accepted, started, finished) in enumerate(stamped):
        image, column = divmod(index, columns)
        yield {
            "name": f"column {column}",
            "cat": f"image {image}",
            "ph": "X",
            "pid": PROCESS,
            "tid": thread,
            "ts": started,
            "dur": finished - started,
            "args": {
                "image": image,
                "column": column,
                "accepted": accepted,
                "waiting_cycles": started - accepted,
            },
        }
