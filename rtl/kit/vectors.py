"""Golden vectors: images as beats, and the answers that the model gives, with their cycles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.models.graph import INPUT
from pilaster.models.reference.network import infer
from pilaster.rtl.verification.observed import expected_beats
from pilaster.rtl.verification.stimulus import hex_lines
from pilaster.sim.closed_form import stamps
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.traffic import Traffic

__all__ = ["Vectors"]

IMAGES_FILE = "golden_images.hex"
ANSWERS_FILE = "golden_answers.hex"
STAMPS_FILE = "golden_stamps.hex"


@dataclass(frozen=True)
class Vectors:
    """What a testbench gives a machine, and expects of it.

    Attributes
    ----------
    images : how many
    input_beats, output_beats : of all images
    output_columns : columns of all answers
    last_cycle : when the last answer is taken, by the model
    files : contents by file name: input beats; masks and values of output beats; the cycles at
        which columns of answers have been taken
    """

    images: int
    input_beats: int
    output_beats: int
    output_columns: int
    last_cycle: int
    files: dict[str, str]

    @classmethod
    def of(cls, pipeline: Pipeline, images: NDArray[np.generic], header: str) -> Vectors:
        """Compute them for images (N, H, W, C), at the machine's column interval."""
        network, last = pipeline.network, pipeline.stages[-1]
        values = network.encode(images)
        rows = values.transpose(0, 2, 1, 3).reshape(-1, values.shape[3])  # column by column
        answers, real = expected_beats(network, last, infer(network, values))
        taken = stamps(pipeline, len(values), Traffic.steady(pipeline, len(values))).taken
        bits, lanes = network.tensors[last.name].bits, last.fold.out_channels
        digits = -(-bits * lanes // 4)
        beats = (
            f"{mask.strip():0>{digits}}{value.strip():0>{digits}}\n"
            for mask, value in zip(
                hex_lines(np.where(real, -1, 0), bits), hex_lines(answers, bits), strict=True
            )
        )
        texts = {
            IMAGES_FILE: "".join(hex_lines(rows, network.tensors[INPUT].bits)),
            ANSWERS_FILE: "".join(beats),
            STAMPS_FILE: "".join(f"{cycle:x}\n" for cycle in taken.reshape(-1).tolist()),
        }
        return cls(
            images=len(values),
            input_beats=len(rows),
            output_beats=len(answers),
            output_columns=taken.size,
            last_cycle=int(taken.max()),
            files={name: f"{header}{text}" for name, text in texts.items()},
        )
