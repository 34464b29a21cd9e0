"""Training the language model on several seeds at once, and what becomes of it when its tensor is replaced."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.claims import shared
from quire.common.losses.classification import masked_cross_entropy
from quire.common.random import generator
from quire.common.train.batches import stacked_batch
from quire.common.train.seeds import fit_seeds, fold_keys, initial_states
from quire.pldr_llm.config import Preset
from quire.pldr_llm.dag import dag_penalty
from quire.pldr_llm.invariance import substitutes
from quire.pldr_llm.model import PADDING, PLDRModel
from quire.pldr_llm.sources import counted_losses, open_corpus, windows

SUBSTITUTES = ("cached", "identity", "random", "heads reversed")


def language_loss(
    model: PLDRModel,
    text: Int[Array, "batch t"],
    key: jax.Array | None = None,
    *,
    g: Array | None = None,
    dag: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Float[Array, ""]:
    """Mean cross-entropy in nats of every token but the first, targets that are padding left out.

    Args:
        model: the language model.
        text: sequences and the token after them.
        key: not used; losses of `fit` take one.
        g: tensors in place of the network's.
        dag: coefficients of `dag_penalty`, which is added.
    """
    logits, tensors = model(text[:, :-1], g=g)
    targets = text[:, 1:]
    loss = masked_cross_entropy(logits, targets, targets != PADDING)
    return loss + dag_penalty(tensors, dag) if any(dag) else loss


def _measured(model: PLDRModel, text: Array, noise: Array) -> dict[str, Any]:
    """Tensors of every prompt, and the loss with them, or with one tensor for all."""
    logits, tensors = model(text[:, :-1])
    targets = text[:, 1:]
    losses = {"recomputed": masked_cross_entropy(logits, targets, targets != PADDING)}
    others = substitutes(tensors.G, noise)
    each = jax.lax.map(lambda g: language_loss(model, text, g=g), jnp.stack([others[name] for name in SUBSTITUTES]))
    return {"G": tensors.G, "losses": losses | dict(zip(SUBSTITUTES, each, strict=True))}


@shared
def trained(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """The language model, trained from scratch on each seed's windows.

    Returns:
        By seed: `state` of the model (`graph` beside it), training `losses`; `before` and `after` training `G` of the held-out
        prompts and `losses` with it and with each of `substitutes`; held-out `prompts`; `counted` losses; name of the data and
        what they stand for.
    """
    recipe, lm = preset.training, preset.lm
    sources = [open_corpus(preset, key) for key in keys]
    draw = [_drawn(preset, source.value, key) for source, key in zip(sources, fold_keys(keys, 1), strict=True)]
    batches, prompts, noise = (np.stack(parts) for parts in zip(*draw, strict=True))

    def build(rngs: nnx.Rngs) -> PLDRModel:
        return PLDRModel(lm, rngs=rngs)

    graph, state, losses = fit_seeds(
        build,
        recipe.transformation(),
        language_loss,
        stacked_batch,
        batches,
        steps=recipe.steps,
        keys=keys,
        one_by_one=True,
    )
    measure = jax.jit(jax.vmap(lambda state, *args: _measured(nnx.merge(graph, state), *args)))
    counted = [counted_losses(s.value.train, p, lm.vocab_size) for s, p in zip(sources, prompts, strict=True)]
    return {
        "graph": graph,
        "state": state,
        "losses": losses,
        "before": measure(initial_states(build, keys)[1], prompts, noise),
        "after": measure(state, prompts, noise),
        "prompts": prompts,
        "counted": {name: np.array([each[name] for each in counted]) for name in counted[0]},
        "data": sources[0].name,
        "stand_in_for": sources[0].stand_in_for,
    }


def train_with(preset: Preset, key: jax.Array, tensors: Mapping[str, Array]) -> dict[str, dict[str, float | np.ndarray]]:
    """The ablation: the same model from the same weights on the same windows, with a tensor that is given and never changes.

    Where it is the identity, this is a transformer with scaled dot-product attention.

    Args:
        preset: what to train.
        key: of the seed.
        tensors: `[depth, 1, heads, d, d]` each, by name; all are trained as one program.

    Returns:
        By name, training `losses` and the `loss` on the held-out windows, those of `trained`.
    """
    source = open_corpus(preset, key)
    batches, prompts, _ = _drawn(preset, source.value, fold_keys(jnp.stack([key]), 1)[0])
    given = np.stack([np.asarray(g) for g in tensors.values()])
    count = len(given)
    graph, state, losses = fit_seeds(
        lambda rngs: PLDRModel(preset.lm, rngs=rngs),
        preset.training.transformation(),
        lambda model, batch, key: language_loss(model, batch[0], g=batch[1]),
        lambda data, step: (stacked_batch(data[0], step), data[1]),
        (np.broadcast_to(batches, (count, *batches.shape)), given),
        steps=preset.training.steps,
        keys=jnp.stack([key] * count),
        one_by_one=True,
    )
    held_out = jax.jit(jax.vmap(lambda state, g: language_loss(nnx.merge(graph, state), jnp.asarray(prompts), g=g)))(state, given)
    found = zip(tensors, np.asarray(losses), np.asarray(held_out), strict=True)
    return {name: {"losses": each, "loss": float(loss)} for name, each, loss in found}


def _drawn(preset: Preset, letters: Any, key: jax.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows of every step, held-out windows, and noise of the shape of one prompt's tensors."""
    train_key, held_key, noise_key = jax.random.split(key, 3)
    lm, recipe = preset.lm, preset.training
    shape = lm.depth, 1, lm.num_heads, lm.head_dim, lm.head_dim
    return (
        windows(letters.train, (recipe.steps, recipe.batch_size), preset.length, train_key),
        windows(letters.held_out, (preset.prompts,), preset.length, held_key),
        generator(noise_key).standard_normal(shape).astype(np.float32),
    )
