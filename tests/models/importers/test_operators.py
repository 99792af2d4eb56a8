"""The operators that are said to be supported are those that the importers take."""

from pathlib import Path

import pytest

from pilaster.models.importers import onnx, tflite
from pilaster.models.importers.operators import Support, supported_operators

DOCS = Path(__file__).parents[3] / "docs" / "importing.md"
ROWS = {
    "part of the network": Support.NETWORK,
    "left to the host at the end": Support.HOST,
    "computed from constants only": Support.CONSTANTS,
}


@pytest.mark.parametrize("place", [(".tflite", 1), (".onnx", 2)])
def test_the_documentation_lists_the_operators_of_a_format(place: tuple[str, int]) -> None:
    suffix, column = place
    section = DOCS.read_text().split("\n## Every operator\n")[1].split("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    told = {cells[0]: cells[column].split(", ") for cells in lines if cells[0] in ROWS}
    assert told == {
        title: [o.name for o in supported_operators() if (o.format, o.support) == (suffix, support)]
        for title, support in ROWS.items()
    }


@pytest.mark.parametrize("place", [(".tflite", tflite.SUPPORTED), (".onnx", onnx.SUPPORTED)])
def test_what_a_refusal_lists_is_listed(place: tuple[str, tuple[str, ...]]) -> None:
    suffix, supported = place
    listed = {o.name for o in supported_operators() if o.format == suffix}
    assert listed >= set(supported)


def test_an_operator_is_listed_once_a_format() -> None:
    listed = [(operator.name, operator.format) for operator in supported_operators()]
    assert len(set(listed)) == len(listed)
