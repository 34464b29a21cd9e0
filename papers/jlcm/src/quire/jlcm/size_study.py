"""Sizes: a model of a million weights that is packed for real, and Llama-7B by counting."""

from itertools import pairwise

import jax
import numpy as np

from quire.common.random import generator
from quire.jlcm.assignment import best_of_codebooks, nearest_assignment
from quire.jlcm.codebook_tensor import CodebookTensor, mapping_bits, pack_tensor
from quire.jlcm.grouping import group_neurons, neuron_stats

LLAMA_WEIGHTS, LLAMA_EMBEDDING, LLAMA_LAYERS = 6.74e9, 32_000 * 4096, 32 * 7 + 1
"""Weights of Llama-7B, those of its embedding, and its matrices beside that."""


def packed_model(key: jax.Array, widths: tuple[int, ...], bits: int, groups: int) -> tuple[dict[str, CodebookTensor], float]:
    """Codes and codebooks of dense layers with random weights, and bits a weight of what per-weight indices would take instead.

    Args:
        key: of the weights.
        widths: of the layers, inputs first; the last layer keeps one codebook.
        bits: of a code.
        groups: codebooks of the other layers.
    """
    rng, tensors, indexed, count = generator(key), {}, 0, 0
    for number, (dim, out) in enumerate(pairwise(widths)):
        w = rng.standard_normal((out, dim), dtype=np.float32) * rng.lognormal(sigma=0.5, size=(out, 1)).astype(np.float32)
        found = group_neurons(neuron_stats(w), groups if number < len(widths) - 2 else 1)
        w = w[found.perm]
        tensor = nearest_assignment(w, bits, "codebooks", found.sizes)
        tensors[f"layers.{number}"], count = tensor, count + w.size
        indexed += best_of_codebooks(w, tensor)[1]
    return tensors, indexed / count


def stored_bits(tensors: dict[str, CodebookTensor]) -> int:
    """Bits of the packed arrays as they would be written, whole words, sizes and shapes included."""
    return sum(8 * x.nbytes for t in tensors.values() for x in pack_tensor(t).values())


def llama_gigabytes(bits: int, books: int = 8) -> float:
    """Llama-7B with codes for every matrix but the embedding, which keeps 16 bits, and codebooks of float32 for its groups."""
    codes = mapping_bits(LLAMA_WEIGHTS - LLAMA_EMBEDDING, bits)
    return (codes + 16 * LLAMA_EMBEDDING + LLAMA_LAYERS * books * (2**bits * 32 + 16)) / 8 / 1e9
