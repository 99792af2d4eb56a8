"""Training of the zoo's float weights: ``python -m pilaster.models.zoo.train``.

Recipes, epochs and seeds are fixed beforehand; no test image is trained on or chooses a recipe.
The test splits are measured after the last epoch, to write the accuracy down.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.datasets import Dataset, embedded_digits, fit, load
from pilaster.models.graph import Graph
from pilaster.models.layers import FullyConnected, Pool, Weighted
from pilaster.models.zoo import architectures

__all__ = ["accuracy", "train_digits", "train_lenet5"]

Floats = NDArray[np.float32]
Weights = Mapping[str, Floats]

THREADS = 2  # fixed, as the order of sums depends on it


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    epochs : passes over the training images
    learning_rate : highest, of one cosine cycle with a warm-up
    turn, shear : largest random distortion: degrees, and tangent of the slant
    scale : largest random change of each side, as a part of it
    shift : largest random shift, as a part of the side
    smoothing : probability taken from the label and spread over all classes
    """

    epochs: int
    learning_rate: float
    weight_decay: float
    turn: float
    shear: float
    scale: float
    shift: float
    batch: int
    smoothing: float
    seed: int = 2023


LENET5 = Recipe(
    epochs=75,
    learning_rate=4e-3,
    weight_decay=1e-4,
    turn=12,
    shear=0.2,
    scale=0.15,
    shift=0.08,
    batch=128,
    smoothing=0.05,
)

# Chosen by cross-validation within the training split: runs of 200 images left out in turn.
DIGITS = Recipe(
    epochs=200,
    learning_rate=4e-2,
    weight_decay=0.05,
    turn=8,
    shear=0.1,
    scale=0.1,
    shift=0.06,
    batch=64,
    smoothing=0.0,
)

DIGITS_REPEATS = 8  # embedded digits a pass over MNIST, each distorted anew


def train_lenet5(mnist_dir: Path) -> dict[str, Floats]:
    """Train LeNet-5 on MNIST and on the embedded digits: one set of weights for both.

    Parameters
    ----------
    mnist_dir : folder with MNIST's IDX files; their training split is used

    Returns
    -------
    dict
        float32 arrays: `conv1.weight` (out_channels, kernel rows, kernel columns, in_channels),
        `fc4.weight` (out_features, H * W * C), `conv1.bias` (out_channels,) and so on

    Raises
    ------
    InputError
        if PyTorch is missing or a file cannot be used
    """
    parts = [load(mnist_dir, "train")] + DIGITS_REPEATS * [embedded_digits("train")]
    return _train(architectures.lenet5(), parts, LENET5)


def train_digits() -> dict[str, Floats]:
    """Train the 8x8 network on the embedded digits' training split; see `train_lenet5`."""
    return _train(architectures.digits(), [embedded_digits("train")], DIGITS)


def accuracy(graph: Graph, weights: Weights, dataset: Dataset) -> float:
    """Part of the images, fitted to the network's input, whose class is the largest output."""
    torch = _torch()
    images, labels = _samples(graph, [dataset])
    model = {name: torch.from_numpy(_planar(name, graph, a)) for name, a in weights.items()}
    with torch.no_grad():
        found = _forward(graph, model, torch.from_numpy(images)).argmax(1).numpy()
    return float((found == labels).mean())


def _samples(graph: Graph, datasets: list[Dataset]) -> tuple[Floats, NDArray[np.int64]]:
    """Give images (N, C, H, W) of 0 to 1 at the network's size, and their labels."""
    images, labels = [], []
    for dataset in datasets:
        if dataset.labels is None:
            raise InputError(f"{dataset.name}: has no labels; give an IDX file of labels beside it")
        shape = graph.input_shape
        fitted = fit(dataset, shape.height, shape.width, shape.channels).images
        images.append(fitted.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))
        labels.append(dataset.labels)
    return np.concatenate(images), np.concatenate(labels)


def _train(graph: Graph, datasets: list[Dataset], recipe: Recipe) -> dict[str, Floats]:
    torch = _torch()
    torch.manual_seed(recipe.seed)
    all_images, all_labels = map(torch.from_numpy, _samples(graph, datasets))
    model = _initial(graph)
    optimizer = torch.optim.AdamW(model.values(), weight_decay=recipe.weight_decay)
    batches = -(-len(all_images) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, recipe.epochs * batches, pct_start=0.15
    )
    for epoch in range(recipe.epochs):
        total = 0.0
        for batch in torch.randperm(len(all_images)).split(recipe.batch):
            outputs = _forward(graph, model, _distorted(all_images[batch], recipe))
            loss = torch.nn.functional.cross_entropy(
                outputs, all_labels[batch], label_smoothing=recipe.smoothing
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{recipe.epochs}: loss {total / batches:.4f}", file=sys.stderr)
    return {name: _exported(name, graph, tensor.detach().numpy()) for name, tensor in model.items()}


def _initial(graph: Graph) -> dict[str, Any]:
    """Random weights (out, in, rows, columns) and zero biases by name, as PyTorch tensors."""
    torch = _torch()
    model = {}
    for name, shape in _weight_shapes(graph).items():
        out, rows, columns, channels = shape
        weight = torch.empty(out, channels, rows, columns)
        torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")
        model[f"{name}.weight"] = weight.requires_grad_()
        model[f"{name}.bias"] = torch.zeros(out, requires_grad=True)
    return model


def _forward(graph: Graph, model: Mapping[str, Any], images: Any) -> Any:
    """Run a chain of layers on images (N, C, H, W), to outputs (N, classes)."""
    functional = _torch().nn.functional
    values = images
    for node in graph.nodes:
        if isinstance(node.layer, Pool):
            values = functional.max_pool2d(values, node.layer.window.kernel)
            continue
        assert isinstance(node.layer, Weighted)  # these are chains
        weight, bias = model[f"{node.name}.weight"], model[f"{node.name}.bias"]
        if isinstance(node.layer, FullyConnected):
            values = functional.linear(values.flatten(1), weight.flatten(1), bias)
        else:
            padding = node.layer.window.padding
            values = functional.conv2d(values, weight, bias, padding=(padding.top, padding.left))
        if node.layer.relu:
            values = functional.relu(values)
    return values


def _distorted(images: Any, recipe: Recipe) -> Any:
    """Turn, slant, stretch and shift each image (N, C, H, W) at random."""
    torch = _torch()

    def draw(limit: float) -> Any:
        return (2 * torch.rand(len(images)) - 1) * limit

    angle = torch.deg2rad(draw(recipe.turn))
    wide, high = 1 + draw(recipe.scale), 1 + draw(recipe.scale)
    slant = draw(recipe.shear)
    cos, sin = torch.cos(angle), torch.sin(angle)
    across = torch.stack([wide * cos, high * (slant * cos - sin), draw(2 * recipe.shift)], 1)
    down = torch.stack([wide * sin, high * (slant * sin + cos), draw(2 * recipe.shift)], 1)
    grid = torch.nn.functional.affine_grid(
        torch.stack([across, down], 1), list(images.shape), align_corners=False
    )
    return torch.nn.functional.grid_sample(images, grid, align_corners=False)


def _weight_shapes(graph: Graph) -> dict[str, tuple[int, int, int, int]]:
    return {
        node.name: node.layer.weight_shape(graph.input_of(node))
        for node in graph.nodes
        if isinstance(node.layer, Weighted)
    }


def _exported(name: str, graph: Graph, values: Floats) -> Floats:
    """Bring an array of PyTorch's layout to the project's, channels last."""
    if name.endswith(".bias"):
        return values.copy()
    last = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
    flat = isinstance(graph.node(name.removesuffix(".weight")).layer, FullyConnected)
    return last.reshape(len(last), -1) if flat else last


def _planar(name: str, graph: Graph, values: Floats) -> Floats:
    """Undo `_exported`."""
    if name.endswith(".bias"):
        return values
    shape = _weight_shapes(graph)[name.removesuffix(".weight")]
    return np.ascontiguousarray(values.reshape(shape).transpose(0, 3, 1, 2))


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise InputError("training needs PyTorch: pip install 'pilaster[train]'") from error
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    return torch


def _provenance(options: argparse.Namespace, measured: Mapping[str, float]) -> str:
    recipe, data = (
        (LENET5, "MNIST train and embedded digits train")
        if options.network == "lenet5"
        else (DIGITS, "embedded digits train")
    )
    folder = " --mnist DIR" if options.network == "lenet5" else ""
    accuracies = ", ".join(f"{name} {value:.4f}" for name, value in measured.items())
    return (
        f"python -m pilaster.models.zoo.train {options.network}{folder}; "
        f"PyTorch {_torch().__version__}, seed {recipe.seed}, {recipe.epochs} epochs; "
        f"trained on {data}; float accuracy: {accuracies}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Train one network, measure it on the test splits, and write its float weights."""
    parser = argparse.ArgumentParser(prog="python -m pilaster.models.zoo.train")
    networks = parser.add_subparsers(dest="network", required=True)
    for name in ("lenet5", "digits"):
        network = networks.add_parser(name)
        network.add_argument("--out", type=Path, required=True, help="the .npz to write")
        if name == "lenet5":
            network.add_argument("--mnist", type=Path, required=True, help="MNIST's IDX files")
    options = parser.parse_args(arguments)
    try:
        if options.out.suffix != ".npz" or not options.out.parent.is_dir():
            raise InputError(f"--out {options.out}: must be a .npz in a folder that exists")
        tests = {"embedded digits test": embedded_digits("test")}
        if options.network == "lenet5":
            tests["MNIST test"] = load(options.mnist, "test")
            graph, weights = architectures.lenet5(), train_lenet5(options.mnist)
        else:
            graph, weights = architectures.digits(), train_digits()
        measured = {name: accuracy(graph, weights, data) for name, data in tests.items()}
        provenance = _provenance(options, measured)
        arrays: dict[str, Any] = {"provenance": np.array(provenance), **weights}
        np.savez_compressed(options.out, **arrays)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(provenance)
    return 0


if __name__ == "__main__":
    sys.exit(main())
