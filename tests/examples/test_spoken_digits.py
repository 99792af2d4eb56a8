"""The spoken digits: columns that know no future, and a machine that answers in time."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import wave
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import pilaster as pl
from pilaster.models.quantizer import float_tensors

SCRIPT = Path(__file__).parents[2] / "examples" / "spoken_digits.py"
HAS_TORCH = importlib.util.find_spec("torch") is not None
RECORDINGS = Path(os.environ.get("PILASTER_RECORDINGS", "no folder"))
LEAST_RIGHT = 78.0
"""Per cent of the digits of people never heard before; chance is 10."""


@pytest.fixture(scope="module")
def spoken() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("spoken_digits", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def told(text: str, pattern: str) -> float:
    match = re.search(pattern, text)
    assert match is not None, text
    return float(match[1].replace(",", ""))


def record(folder: Path, speakers: int = 3) -> None:
    """Write tones in noise: a digit is a pitch, and a speaker a little sharp."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    seconds = np.arange(4000) / 8000
    for digit in range(10):
        for speaker in range(speakers):
            for number in range(6):
                hertz = 250 * 1.32**digit * 1.02**speaker
                tone = 0.3 * np.sin(2 * np.pi * hertz * seconds + number)
                tone += rng.normal(0, 0.003, len(tone))
                with wave.open(str(folder / f"{digit}_s{speaker}_{number}.wav"), "wb") as file:
                    file.setparams((1, 2, 8000, 0, "NONE", ""))
                    file.writeframes((tone * 32767).astype("<i2").tobytes())


def test_a_column_is_made_of_what_was_heard_until_then(spoken: ModuleType) -> None:
    rng = np.random.default_rng(1)
    samples = rng.uniform(-0.1, 0.1, (2, 8320)).astype(np.float32)
    later = samples.copy()
    later[:, 128 * 20 + 256 :] = 0
    before, after = spoken.columns(samples), spoken.columns(later)
    assert before.shape == (2, 32, 64, 1)
    np.testing.assert_array_equal(before[:, :, :21], after[:, :, :21])
    np.testing.assert_allclose(after[:, :, 23:], 0, atol=1e-6, err_msg="silence")
    assert (before[:, :, 23:] > 0).all()


def test_a_tone_shows_in_its_band(spoken: ModuleType) -> None:
    seconds = np.arange(8320) / 8000
    noise = np.random.default_rng(1).normal(0, 0.01, 8320)
    bands = []
    for hertz in (200, 500, 1000, 2000, 3500):
        tone = np.where(seconds < 0.5, 0, 0.3 * np.sin(2 * np.pi * hertz * seconds))
        found = spoken.columns((noise + tone).astype(np.float32)[None])[0, :, :, 0]
        assert found[:, 33].max() > 3 * found[:, 10:28].mean()
        bands.append(int(found[:, 33].argmax()))
    assert bands == sorted(set(bands))


def test_loudness_does_not_matter(spoken: ModuleType) -> None:
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 8320)).astype(np.float32)
    loud, quiet = spoken.columns(samples), spoken.columns(samples / 30)
    np.testing.assert_allclose(quiet, loud, atol=0.01)
    assert loud.std() > 0.05


@pytest.mark.skipif(not HAS_TORCH, reason="no PyTorch")
def test_folding_changes_no_answer(spoken: ModuleType) -> None:
    """Of a network whose normalizations have seen something."""
    import torch

    torch.manual_seed(1)
    model = spoken.torch_model(spoken.graph())
    images = torch.randn(8, 1, 32, 64)
    for _ in range(3):
        model(2 * images + 1)
    with torch.no_grad():
        expected = model.eval()(images).numpy()
    floats = spoken.folded(model)
    *_, found = float_tensors(floats, images.numpy().transpose(0, 2, 3, 1)).values()
    np.testing.assert_allclose(found.reshape(8, 10), expected, rtol=1e-4, atol=1e-5)


def test_spoken_digits(tmp_path: Path) -> None:
    record(tmp_path / "tones")
    command = [sys.executable, str(SCRIPT), "tones", "--epochs", "30"]
    found = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    if not HAS_TORCH:
        assert (found.returncode, found.stdout) == (2, "")
        assert found.stderr == (
            "spoken_digits: training needs PyTorch: pip install 'pilaster[train]'\n"
        )
        return
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("trained on 120 recordings of 2 speakers; judged by s2\n")
    assert told(found.stdout, r"right: ([\d.]+)%") > 30, "chance is 10"
    assert 0 < told(found.stdout, r"last column: ([\d.,]+) us") <= 1000


@pytest.mark.parametrize(
    ("name", "message"),
    [("seven.wav", "must be named DIGIT_SPEAKER_NUMBER.wav"), ("7_me_0.wav", "no WAV file")],
)
def test_recordings_that_are_none(
    spoken: ModuleType, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / name).write_bytes(b"noise")
    with pytest.raises(pl.InputError, match=message):
        spoken.read(tmp_path)


def test_too_few_speakers(spoken: ModuleType, tmp_path: Path) -> None:
    record(tmp_path / "two", 2)
    with pytest.raises(pl.InputError, match="at least three speakers"):
        spoken.read(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.skipif(not (HAS_TORCH and RECORDINGS.is_dir()), reason="no PyTorch or no recordings")
def test_digits_of_people_who_were_not_heard_before(tmp_path: Path) -> None:
    """PILASTER_RECORDINGS is a folder of the Free Spoken Digit Dataset."""
    command = [sys.executable, str(SCRIPT), str(RECORDINGS)]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told(found.stdout, r"right: ([\d.]+)%") >= LEAST_RIGHT
