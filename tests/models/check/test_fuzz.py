"""Random files: each that is accepted computes what its runtime does, as docs/importing.md says.

A few dozen of each kind at every run, and thousands with `make test-slow`, which prints how many of
them were accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models.check.judged import OUTCOMES, judge_onnx, judge_tflite
from tests.models.check.onnx_graphs import float_graphs
from tests.models.check.qdq_graphs import qdq_graphs
from tests.models.check.qlinear_graphs import qlinear_graphs
from tests.models.check.qonnx_graphs import qonnx_graphs
from tests.models.check.tflite_graphs import tflite_graphs

KINDS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], None]]] = {
    "float": (float_graphs(), lambda drawn: judge_onnx(*drawn, calibrate=True)),
    "qdq": (qdq_graphs(), lambda drawn: judge_onnx(*drawn, calibrate=False)),
    "qlinear": (qlinear_graphs(), lambda drawn: judge_onnx(*drawn, calibrate=False)),
    "qonnx": (qonnx_graphs(), lambda drawn: judge_onnx(*drawn, calibrate=False)),
    "tflite": (tflite_graphs(), lambda drawn: judge_tflite(*drawn)),
}

FEW, MANY = 40, 3000


def run(kind: str, count: int, *, repeated: bool) -> None:
    strategy, judge = KINDS[kind]
    OUTCOMES.clear()

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=repeated,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def every_one(drawn: Any) -> None:
        judge(drawn)

    every_one()
    told = [f"{OUTCOMES[name]} {name}" for name in ("accepted", "refused", "not run")]
    print(f"{kind}: {', '.join(told)}")
    assert OUTCOMES["accepted"] >= count / 5, OUTCOMES.most_common(20)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_accepted_is_what_the_runtime_computes(kind: str) -> None:
    run(kind, FEW, repeated=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_that_are_accepted_are_what_the_runtime_computes(kind: str) -> None:
    run(kind, MANY, repeated=False)
