"""Why a working memory: predicates that no sum of what subject and object say can give."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.arrays import AnyArray
from quire.common.claims import shared
from quire.common.random import generator
from quire.common.train.seeds import fit_seeds, fold_keys
from quire.tensor_brain.config import Preset, TinyWorld
from quire.tensor_brain.decoder import DecoderWeights, log_joint
from quire.tensor_brain.index_layer import normal
from quire.tensor_brain.memories import SemanticDecoder

Switch = Array | np.floating
VARIANTS = ("full", "no working memory", "no working memory, wide", "untied")


class AblatedBrain(nnx.Module):
    """A semantic memory as wide as the widest variant; switches that come with the data narrow it and take parts away."""

    def __init__(self, config: TinyWorld, *, rngs: nnx.Rngs):
        self.decoder = SemanticDecoder(config.num_entities, config.num_predicates, config.wide_r, config.r_h, rngs=rngs)
        draw = generator(rngs.params())
        self.abar = nnx.Param(normal(draw, (config.wide_r,), 0.3))
        self.broadcast = nnx.Param(normal(draw, (config.num_entities, config.wide_r), 0.3))

    def log_joint(
        self, units: AnyArray, memory: AnyArray | np.floating, untied: AnyArray | np.floating
    ) -> Float[Array, "n_E n_E n_P"]:
        """Log-probabilities of all triples.

        Args:
            units: 1 for the units of the representation layer that there are, 0 for the others, `[wide_r]`.
            memory: 1, or 0 for B = 0.
            untied: 1 for separate top-down weights, else 0.
        """
        entities, predicates, h = self.decoder.weights
        mask = units[None]
        entities, predicates = (x._replace(embeddings=x.embeddings * mask) for x in (entities, predicates))
        down = jnp.where(untied > 0, self.broadcast[...] * mask, entities.embeddings)
        # What a missing unit would send is left out everywhere: gamma(0) is not 0.
        h = h._replace(V=h.V * mask, B=h.B * units[:, None] * memory)
        return log_joint(DecoderWeights(entities._replace(broadcast=down), predicates, h), self.abar[...] * units)


def variants(config: TinyWorld) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Switches `(units, memory, untied)` of `VARIANTS`, stacked."""
    narrow = (np.arange(config.wide_r) < config.r).astype(np.float32)
    units = np.stack([narrow, narrow, np.ones_like(narrow), narrow])
    return units, np.array([1, 0, 0, 1], np.float32), np.array([0, 0, 0, 1], np.float32)


def table_of_predicates(config: TinyWorld, key: jax.Array) -> np.ndarray:
    """A predicate at random for every pair of subject and object, `[n_E, n_E]`."""
    return generator(key).integers(0, config.num_predicates, (config.num_entities, config.num_entities)).astype(np.int32)


def predicate_loss(log_joint: Float[Array, "n_E n_E n_P"], table: AnyArray) -> Float[Array, ""]:
    """`-ln P(p | s, o)`, mean over all pairs of subject and object."""
    return -jnp.take_along_axis(jax.nn.log_softmax(log_joint), table[..., None], axis=2).mean()


def memorise(model: AblatedBrain, batch: tuple[Any, AnyArray], key: jax.Array) -> Float[Array, ""]:
    """`predicate_loss` of the whole table."""
    switches, table = batch
    return predicate_loss(model.log_joint(*switches), table)


@shared
def tiny_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """All variants with all seeds as one program: the last loss by variant `[seeds]`, and `curves` `[seeds, steps]`."""
    config, count = preset.tiny, len(VARIANTS)
    tables = np.tile(np.stack([table_of_predicates(config, key) for key in fold_keys(keys, 1)]), (count, 1, 1))
    switches = tuple(np.repeat(x, len(keys), axis=0) for x in variants(config))
    model, state, losses = fit_seeds(
        lambda rngs: AblatedBrain(config, rngs=rngs),
        config.training.transformation(flat=True),
        memorise,
        lambda data, step: data,
        (switches, tables),
        steps=config.training.steps,
        keys=jnp.tile(keys, count),
    )
    found = _predicate_losses(model, state, switches, tables).reshape(count, len(keys))
    curves = np.asarray(losses).reshape(count, len(keys), -1)
    return {
        "loss": dict(zip(VARIANTS, np.asarray(found), strict=True)),
        "curves": dict(zip(VARIANTS, curves, strict=True)),
    }


@jax.jit(static_argnums=0)
def _predicate_losses(model, states, switches, tables):
    def one(state, switches, table):
        return predicate_loss(nnx.merge(model, state).log_joint(*switches), table)

    return jax.vmap(one)(states, switches, tables)
