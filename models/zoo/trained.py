"""Trained networks as files: integers, quantization and provenance in one .npz."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pilaster.models.graph import Graph
from pilaster.models.network import Network, Precision
from pilaster.models.quantization import ConvParameters, TensorQuantization

__all__ = ["read_network", "write_network"]


def write_network(network: Network, path: Path) -> None:
    """Write the integers of a network; its graph is not written, `read_network` is given it."""
    arrays: dict[str, NDArray[np.generic]] = {"note": np.array(network.note)}
    for name, tensor in network.tensors.items():
        arrays[f"{name}.scale"] = np.array(tensor.scale)
        arrays[f"{name}.range"] = np.array([tensor.zero_point, tensor.minimum, tensor.maximum])
    for name, parameters in network.parameters.items():
        weight = parameters.weight
        narrow = np.int8 if np.abs(weight).max(initial=0) < 128 else np.int16
        arrays[f"{name}.weight"] = weight.astype(narrow)
        arrays[f"{name}.bias"] = parameters.bias.astype(np.int32)
        arrays[f"{name}.multiplier"] = parameters.multiplier.astype(np.int32)
        arrays[f"{name}.shift"] = parameters.shift.astype(np.int8)
        precision = network.precisions[name]
        arrays[f"{name}.bits"] = np.array([precision.weight_bits, precision.scale_bits])
    np.savez_compressed(path, allow_pickle=False, **arrays)


def read_network(graph: Graph, path: Path) -> Network:
    """Read the integers of `graph` from a file that `write_network` wrote."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    tensors = {}
    for name in graph.shapes:
        zero_point, minimum, maximum = arrays[f"{name}.range"].tolist()
        tensors[name] = TensorQuantization(
            float(arrays[f"{name}.scale"]), zero_point, minimum, maximum
        )
    parameters, precisions = {}, {}
    for node in graph.nodes:
        if f"{node.name}.weight" not in arrays:
            continue
        parameters[node.name] = ConvParameters(
            arrays[f"{node.name}.weight"],
            arrays[f"{node.name}.bias"].astype(np.int64),
            arrays[f"{node.name}.multiplier"].astype(np.int64),
            arrays[f"{node.name}.shift"].astype(np.int64),
        )
        precisions[node.name] = Precision(*arrays[f"{node.name}.bits"].tolist())
    note = str(arrays["note"])
    return Network(
        graph, tensors, MappingProxyType(parameters), MappingProxyType(precisions), False, note
    )
