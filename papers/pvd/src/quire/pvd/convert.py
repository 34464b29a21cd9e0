"""Fields from the state dictionaries of the authors' code; sizes are read from the arrays."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx

from quire.common.checkpoints import Names, Source, load, transposed
from quire.common.fields.hash_grid import HashLevels, hash_levels
from quire.common.fields.radiance import DIRECTIONS, HashField, MlpField, VMField, VoxelSHField
from quire.common.train.seeds import Build
from quire.common.train.step import Model

Arrays = Mapping[str, Any]
"""Arrays by the authors' names: linear maps `[out, in]`, planes `[1, rank, second, first]`, grids `[1, channels, z, y, x]`."""


def load_hash(state: Arrays, levels: HashLevels) -> HashField:
    """A hash field.

    Args:
        state: `encoder.embeddings`, `sigma_net.i.weight`, `color_net.i.weight`; offsets of the encoder are passed over.
        levels: which the arrays do not tell; see `authors_levels`.

    Raises:
        ValueError: listing what is missing, unexpected or mis-shaped.
    """
    state = {name: x for name, x in state.items() if name != "encoder.offsets"}
    table = _get(state, "encoder.embeddings", 2)
    field = _abstract(lambda r: HashField(levels, table_features=table.shape[1], hidden=_hidden(state), rngs=r))
    names: Names = {("table",): "encoder.embeddings", **_nets("sigma_net", "color_net")}
    return load(field, state, names)


def load_mlp(state: Arrays) -> MlpField:
    """A field of perceptrons: `nerf_mlp.i.weight`, `nerf_mlp.i.bias`, `sigma_net.i.weight`, `color_net.i.weight`.

    The octaves follow from the first layer; the layer after the skip takes more than its predecessor gives.

    Raises:
        ValueError: listing what is missing, unexpected or mis-shaped.
    """
    shapes = [np.shape(_get(state, f"nerf_mlp.{i}.weight", 2)) for i in range(_count(state, r"nerf_mlp\.(\d+)\.weight"))]
    if not shapes:
        raise ValueError("state dictionary does not fit the model; missing: nerf_mlp.0.weight")
    wider = [i for i in range(len(shapes) - 1) if shapes[i + 1][1] > shapes[i][0]]
    octaves, skip = (shapes[0][1] - 3) // 6, wider[0] if wider else None
    width, encoded = shapes[0][0], shapes[-1][0]
    field = _abstract(lambda r: MlpField(octaves, len(shapes), width, skip=skip, encoded=encoded, hidden=_hidden(state), rngs=r))
    deep: dict[tuple, str | Source] = {("kernels", i): transposed(f"nerf_mlp.{i}.weight") for i in range(len(shapes))}
    deep |= {("biases", i): f"nerf_mlp.{i}.bias" for i in range(len(shapes))}
    return load(field, state, deep | _nets("sigma_net", "color_net"))


def load_vm(state: Arrays) -> VMField:
    """A field of planes and lines.

    Its arrays are `sigma_mat.i`, `sigma_vec.i`, `color_mat.i`, `color_vec.i`, `basis_mat.weight` and `color_net.i.weight`.

    Raises:
        ValueError: listing what is missing, unexpected or mis-shaped.
    """
    _, density_rank, second, first = np.shape(_get(state, "sigma_mat.0", 4))
    sizes = (first, second, np.shape(_get(state, "sigma_vec.0", 4))[2])
    colour_rank = np.shape(_get(state, "color_mat.0", 4))[1]
    field = _abstract(lambda r: VMField(sizes, density_rank, colour_rank, hidden=_hidden(state), rngs=r))
    names: dict[tuple, str | Source] = {("basis",): transposed("basis_mat.weight"), **_nets("color_net")}
    for i in range(3):
        names[("planes", i)] = Source((f"sigma_mat.{i}", f"color_mat.{i}"), _join_planes)
        names[("lines", i)] = Source((f"sigma_vec.{i}", f"color_vec.{i}"), _join_lines)
    return load(field, state, names)


def load_voxels(state: Arrays) -> VoxelSHField:
    """A voxel grid: `tensor_volume.0`.

    Raises:
        ValueError: listing what is missing, unexpected or mis-shaped; for a number of channels other than `1 + 3 degree^2`.
    """
    _, channels, *reversed_sizes = np.shape(_get(state, "tensor_volume.0", 5))
    degree = round((max(channels - 1, 0) / 3) ** 0.5)
    if degree < 1 or 1 + 3 * degree**2 != channels:
        raise ValueError(f"tensor_volume.0 has {channels} channels; it needs 1 + 3 degree^2")
    field = _abstract(lambda r: VoxelSHField(tuple(reversed_sizes[::-1]), degree, rngs=r))
    return load(field, state, {("grid",): Source(("tensor_volume.0",), lambda x: x[0].transpose(3, 2, 1, 0))})


def authors_levels(levels: int = 14, base: int = 16, finest: int = 2048, log2_size: int = 19) -> HashLevels:
    """Levels of the authors' hash grid in three dimensions.

    >>> authors_levels(2, 4, 8, 6).entries
    (64, 64)
    """
    return hash_levels(levels, base, finest, log2_size, 3)


def _nets(*names: str) -> dict[tuple, str | Source]:
    depths = {"sigma_net": 2, "color_net": 3}
    return {(name, i): transposed(f"{name}.{i}.weight") for name in names for i in range(depths[name])}


def _join_planes(density: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return np.concatenate([density[0], colour[0]]).transpose(2, 1, 0)


def _join_lines(density: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return np.concatenate([density[0, :, :, 0], colour[0, :, :, 0]]).T


def _get(state: Arrays, name: str, ways: int | None = None) -> Any:
    """An array by its name, and a check of its number of axes."""
    if name not in state:
        raise ValueError(f"state dictionary does not fit the model; missing: {name}")
    if ways is not None and np.ndim(state[name]) != ways:
        raise ValueError(f"{name} has shape {np.shape(state[name])}; it needs {ways} axes")
    return state[name]


def _hidden(state: Arrays) -> int:
    shape = np.shape(_get(state, "color_net.0.weight"))
    if len(shape) != 2 or shape[1] <= DIRECTIONS:
        raise ValueError(f"color_net.0.weight has shape {shape}; it needs [hidden, {DIRECTIONS} + features]")
    return shape[0]


def _count(state: Arrays, pattern: str) -> int:
    return len({match[1] for name in state if (match := re.fullmatch(pattern, name))})


def _abstract(build: Build[Model]) -> Model:
    return nnx.eval_shape(lambda: build(nnx.Rngs(0)))
