"""Checks: an imported network beside the runtime that its file is made for."""

from pilaster.models.check.compare import check_file
from pilaster.models.check.images import seeded_images
from pilaster.models.check.result import Check, LayerCheck, LayerError, OutputCheck

__all__ = ["Check", "LayerCheck", "LayerError", "OutputCheck", "check_file", "seeded_images"]
