"""Random problems of the exact claims: the fast forms against the definition, and a compact table against the masked one."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.layers.ctr import log_loss
from quire.common.testing import max_relative_error
from quire.optembed import definition
from quire.optembed.base_models import Kind
from quire.optembed.compact import compact, sparsity
from quire.optembed.config import Identities
from quire.optembed.convert import load_supernet
from quire.optembed.masks import prefix_masks, ste_step
from quire.optembed.supernet import supernet_loss

ALPHA = 0.01


def random_batch(config: Identities, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids that count through the fields, labels of both kinds, drawn dimensions."""
    offsets = np.cumsum([0, *config.field_dims[:-1]])
    ids = offsets + np.stack([rng.integers(0, size, config.examples) for size in config.field_dims], axis=1)
    return ids, np.arange(config.examples) % 2, rng.integers(0, config.dim, ids.shape)


@partial(jax.jit, static_argnums=0)
def losses_and_slopes(graph, state, ids, labels, dim_index, alpha=ALPHA):
    """Logits, cross-entropy, loss, and gradients by embedding and threshold, of a supernet that trains."""

    def loss(rows, threshold):
        net = nnx.merge(graph, state, copy=True)
        net.table.rows.weights[...], net.table.threshold[...] = rows, threshold
        logits = net(ids, dim_index)
        return supernet_loss(net, ids, labels, dim_index, alpha), (logits, log_loss(logits, labels))

    net = nnx.merge(graph, state, copy=True)
    args = net.table.rows.weights[...], net.table.threshold[...]
    (value, (logits, entropy)), slopes = jax.value_and_grad(loss, (0, 1), has_aux=True)(*args)
    return logits, entropy, value, *slopes


def definition_errors(kind: Kind, config: Identities, rng: np.random.Generator, dtype: Any) -> dict[str, float]:
    """Logits, losses and gradients of one base model against the definition."""
    state = definition.random_state(kind, config.field_dims, config.dim, config.hidden, config.cross_layers, rng)
    ids, labels, dim_index = random_batch(config, rng)
    sizes = len(config.hidden), config.cross_layers

    def entropy(x):
        return definition.cross_entropy(definition.logits(kind, state, ids, x, *sizes), labels)

    x = definition.masked(state, ids, dim_index)
    bce, scores = entropy(x), definition.logits(kind, state, ids, x, *sizes)
    by_row, by_threshold = definition.gradients(state, ids, dim_index, definition.complex_step(entropy, x), ALPHA)
    expected = scores, bce, bce + ALPHA * np.exp(-state["threshold"]).sum(), by_row, by_threshold[:, 0]

    net = load_supernet(state, kind, config.field_dims, dtype=dtype)
    found = losses_and_slopes(*nnx.split(net), ids, jnp.asarray(labels, dtype), dim_index)
    names = ("logits", "cross-entropy", "loss", "gradient by rows", "gradient by thresholds")
    return {f"{kind}, {name}": max_relative_error(a, b) for name, a, b in zip(names, found, expected, strict=True)}


def mask_errors(config: Identities, dtype: Any) -> dict[str, float]:
    """The step, its slope and the prefix masks against their cases."""
    z = np.linspace(-1.5, 1.5, 49)
    slopes = jax.vmap(jax.grad(ste_step))(jnp.asarray(z, dtype))
    prefixes = [[float(d <= c) for d in range(config.dim)] for c in range(config.dim)]
    return {
        "step": max_relative_error(ste_step(jnp.asarray(z, dtype)), [float(x > 0) for x in z]),
        "slope of the step": max_relative_error(slopes, [definition.step_slope(x) for x in z]),
        "prefix masks": max_relative_error(prefix_masks(config.dim), prefixes),
    }


def compaction_errors(kind: Kind, config: Identities, rng: np.random.Generator, dtype: Any) -> dict[str, float]:
    """Largest difference of logits between the masked table and the compact one, and of the ratio of bytes from 1 - sparsity."""
    state = definition.random_state(kind, config.field_dims, config.dim, config.hidden, config.cross_layers, rng)
    ids, _, _ = random_batch(config, rng)
    cand = rng.integers(0, config.dim, len(config.field_dims))
    net = load_supernet(state, kind, config.field_dims, dtype=dtype)
    net.eval()
    small = compact(net.table, dim_index=cand)
    masked, compacted = jax.jit(lambda ids, cand: (net(ids, cand), net.base(small(ids), ids)))(ids, cand)
    difference = np.abs(np.asarray(masked) - np.asarray(compacted)).max()
    gone = sparsity(np.asarray(net.table.row_mask()), cand, config.field_dims, config.dim)
    full = net.table.rows.weights[...]
    ratio = small.nbytes["tables"] / (full.size * full.dtype.itemsize)
    return {"logits": float(difference), "bytes / full bytes": abs(ratio - (1 - gone))}
