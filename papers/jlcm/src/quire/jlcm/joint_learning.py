"""Codebooks, scales and mappings of a block, learned together so that its output stays what it was."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.quant.reconstruct import Reconstruction, reconstruct_block
from quire.jlcm.codebook_tensor import CodebookTensor, sorted_codebooks
from quire.jlcm.mapping import Forward, Phi, Rule, hard_map, inverse, map_codes, mapping_logits, one_hot_penalty

Weights = Mapping[str, AnyArray]
"""`[out, in]` by the name of the layer."""

Params = dict[str, dict[str, Array | np.ndarray]]
"""What is learned, by kind and by layer: `logits` `[out, in, k]`, `codebooks` `[books, k]`, `scales` `[groups]`."""

Rows = Mapping[str, Int[AnyArray, " _"]]
"""Group of every row, by layer."""

BETA_START, BETA_END = 20.0, 2.0


@dataclass(frozen=True)
class Learning:
    """How a block is learned.

    Attributes:
        rule: by which the error moves the mapping.
        forward: hard codewords, or their mean by softmax while learning.
        steps, batch_size: of the reconstruction.
        rates: of the mapping, by SGD with momentum, one after the other on the same data; the best on the calibration inputs
            stays. Adam would divide away the weights of the codewords, which the rules differ in.
        codebook_rate: of codebooks and scales, by Adam.
        momentum: of SGD.
        one_hot: weight of the penalty of undecided mappings, relative to the error, for the soft forward.
        phi: of the proximal rule.

    Raises:
        ValueError: for unknown names, no steps or rates, or numbers out of range.
    """

    rule: Rule = "proximal"
    forward: Forward = "hard"
    steps: int = 300
    batch_size: int = 64
    rates: tuple[float, ...] = (1.0, 10.0, 100.0)
    codebook_rate: float = 1e-3
    momentum: float = 0.9
    one_hot: float = 0.0
    phi: Phi = inverse

    def __post_init__(self):
        if self.rule not in get_args(Rule) or self.forward not in get_args(Forward):
            raise ValueError(f"rule is {self.rule!r} and forward {self.forward!r}; {get_args(Rule)} and {get_args(Forward)}")
        if min(self.steps, self.batch_size, len(self.rates)) < 1:
            raise ValueError(f"steps is {self.steps}, batch_size {self.batch_size}, rates {self.rates}; at least 1 of each")
        if min(*self.rates, self.codebook_rate, self.one_hot) < 0 or not 0 <= self.momentum < 1:
            raise ValueError(f"{self}: rates and one_hot cannot be negative, and momentum lies in [0, 1)")


def start_params(weights: Weights, tensors: Mapping[str, CodebookTensor]) -> tuple[Params, dict[str, np.ndarray]]:
    """Where learning starts: the nearest codewords. And the group of every row.

    Args:
        weights: as they were quantised, `[out, in]`.
        tensors: from `nearest_assignment`.
    """
    logits = {name: np.asarray(mapping_logits(np.asarray(w), tensors[name].row_codebooks())) for name, w in weights.items()}
    codebooks = {name: np.asarray(t.codebooks) for name, t in tensors.items()}
    params: Params = {"logits": {**logits}, "codebooks": {**codebooks}}
    params["scales"] = {name: np.asarray(t.scales) for name, t in tensors.items() if t.scales is not None}
    rows = {name: np.repeat(np.arange(len(t.group_sizes)), t.group_sizes).astype(np.int32) for name, t in tensors.items()}
    return params, rows


def learned_weights(params: Params, rows: Rows, mapped: Callable[[AnyArray, AnyArray], Array] = hard_map) -> dict[str, Array]:
    """`s_G C_G[h]` of every layer.

    Args:
        params: what is learned.
        rows: group of every row.
        mapped: `(logits, codebooks [out, k]) -> [out, in]`.
    """
    found = {}
    for name, logits in params["logits"].items():
        books, scales = params["codebooks"][name], params["scales"].get(name)
        own = books[rows[name] if len(books) > 1 else np.zeros(logits.shape[0], int)]
        value = mapped(logits, own)
        found[name] = value if scales is None else scales[rows[name]][:, None] * value
    return found


def learn(
    block: Callable[[dict[str, Array], Any], Array],
    params: Params,
    rows: Rows,
    x: Any,
    target: AnyArray,
    batches: Int[AnyArray, "steps batch"],
    rate: AnyArray | float,
    codebook_rate: AnyArray | float,
    learning: Learning,
) -> Reconstruction:
    """Minimise the squared error of a block's output, relative to that output, by codebooks, scales and logits. Traceable.

    Args:
        block: `(weights, x) -> output [n, features, ...]`.
        params, rows: from `start_params`.
        x, target: inputs, and outputs in full precision for inputs in full precision.
        batches: rows for every step.
        rate: of the mapping; 0 keeps it.
        codebook_rate: of the rest.
        learning: rule, forward, momentum, penalty.
    """
    energy = jnp.sum(jnp.mean(target**2, axis=0)) * (1 if target.ndim == 2 else 1 / target.shape[-1])
    unit = 1 / jnp.sqrt(jnp.where(energy > 0, energy, 1))

    def mapped(logits, own):
        return map_codes(logits, own, grad=learning.rule, forward=learning.forward, phi=learning.phi)

    def output(params, x):
        return block(learned_weights(params, rows, mapped), x) * unit

    def penalty(params, progress):
        beta = BETA_START + (BETA_END - BETA_START) * progress
        count = sum(logits.size for logits in params["logits"].values())
        return learning.one_hot * sum(one_hot_penalty(logits, beta) for logits in params["logits"].values()) / count

    kinds: dict[Hashable, optax.GradientTransformation]
    kinds = {"logits": optax.trace(learning.momentum), "rest": optax.scale_by_adam()}
    labels = {"logits": "logits", "codebooks": "rest", "scales": "rest"}
    return reconstruct_block(
        output,
        params,
        x,
        target * unit,
        steps=len(batches),
        batches=batches,
        rate={"logits": rate, "codebooks": codebook_rate, "scales": codebook_rate},
        penalty=penalty if learning.one_hot else None,
        tx=optax.partition(kinds, lambda p: {kind: jax.tree.map(lambda _, k=kind: labels[k], p[kind]) for kind in p}),
    )


def relative_output_error(output: AnyArray, target: AnyArray) -> Float[Array, ""]:
    """`sum (output - target)^2 / sum target^2`, and the plain sum where the target is zero."""
    energy = jnp.sum(target**2)
    return jnp.sum((output - target) ** 2) / jnp.where(energy > 0, energy, 1)


def learned_tensors(params: Params, tensors: Mapping[str, CodebookTensor]) -> dict[str, CodebookTensor]:
    """Codes, codebooks and scales to store, codebooks ascending.

    Args:
        params: after learning.
        tensors: what learning started from.
    """
    found = {}
    for name, start in tensors.items():
        codes = np.argmax(np.asarray(params["logits"][name]), axis=-1).astype(np.int32)
        scales = None if start.scales is None else np.asarray(params["scales"][name])
        tensor = CodebookTensor(codes, np.asarray(params["codebooks"][name]), scales, start.group_sizes)
        found[name] = sorted_codebooks(tensor)
    return found
