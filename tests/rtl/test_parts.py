"""What a gate or memory belongs to, by the modules that it stands in."""

import pytest

from pilaster.rtl.parts import TOP_STAGE, component_of


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", (TOP_STAGE, "joins")),
        ("forks conv1", (TOP_STAGE, "forks")),
        ("conv1", ("conv1", "window")),
        ("conv1 intake", ("conv1", "intake")),
        ("conv1 fetcher", ("conv1", "program")),
        ("conv1 sequencer", ("conv1", "sequencer")),
        ("conv1 intake columns phase0_bank0", ("conv1", "column buffer")),
        ("conv1 emitter requantizer0", ("conv1", "requantizers")),
        ("add2", ("add2", "window")),
        ("add2 accepted", ("add2", "sequencer")),
        ("add2 arm1", ("add2", "intake")),
        ("add2 arm1 columns phase0_bank0", ("add2", "column buffer")),
        ("add2 requantizer_arm0_3", ("add2", "requantizers")),
        ("output fifo", ("output", "output FIFO")),
    ],
)
def test_component(path, expected):
    assert component_of(path.split()) == expected
