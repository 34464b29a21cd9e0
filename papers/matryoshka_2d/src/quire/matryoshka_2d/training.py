"""Training: every method and every seed as one program, told apart by the weights of the loss."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.data.registry import provided
from quire.common.layers.bert import BertConfig
from quire.common.text.tokenizers import PADDING
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, fold_keys
from quire.matryoshka_2d.config import Preset
from quire.matryoshka_2d.draws import sample_layer_dim
from quire.matryoshka_2d.encoder import SentenceEncoder, encode_all_layers, load_encoder
from quire.matryoshka_2d.objective import LossWeights, tdmse_loss
from quire.matryoshka_2d.pooling import Pooling
from quire.matryoshka_2d.sources import Sentences


class Method(NamedTuple):
    """How a model is trained.

    Attributes:
        weights: of the terms of the loss, `[..., 5]` when stacked.
        layer: the layer that every step looks at beside the last; 0 to draw one.
    """

    weights: Float[np.ndarray, "*runs five"]
    layer: Int[np.ndarray, "*runs"]


METHODS = {
    "plain": LossWeights(1, 0, 0, 0, 0),
    "MRL": LossWeights(1, 0, 1, 0, 0),
    "2DMSE": LossWeights(),
    "2DMSE without KL": LossWeights(kl=0),
}


def methods_of(preset: Preset) -> dict[str, Method]:
    """Methods by name: those of `METHODS`, and encoders of fewer layers that are trained for themselves.

    An encoder of n layers alone is the whole one whose loss sees layer n only: what lies behind gets no gradient.
    """
    alone = {f"{depth} layers alone" if depth > 1 else "1 layer alone": depth for depth in preset.alone}
    weights = METHODS | {name: LossWeights(0, depth, 0, 0, 0) for name, depth in alone.items()}  # n l(v_n) / n
    return {name: Method(np.array(w, np.float32), np.array(alone.get(name, 0), np.int32)) for name, w in weights.items()}


def training_loss(preset: Preset):
    """`loss(model, (tokens [pairs, texts, t], labels, method), key)`: one step's loss, layer and prefix drawn by the key."""

    def loss(model: SentenceEncoder, batch: tuple[Array, Array, Method], key: Array) -> Array:
        tokens, labels, method = batch
        rows = tokens.reshape(-1, tokens.shape[-1])  # the texts of a pair lie side by side
        drawn, dim = sample_layer_dim(key, model.depth, preset.sizes)
        return tdmse_loss(
            encode_all_layers(model, rows, rows != PADDING),
            labels,
            layer=jnp.where(method.layer > 0, method.layer, drawn),
            dim=dim,
            base=preset.base,
            tau=preset.tau,
            weights=LossWeights(*method.weights),
        )[0]

    return loss


def build(preset: Preset, rngs: nnx.Rngs) -> SentenceEncoder:
    """A model at the start: random, or with published weights.

    Raises:
        DatasetUnavailable: if these are not on this machine.
    """
    if not preset.checkpoint:
        return drawn(preset.encoder, preset.pooling, preset.initial_std, rngs)
    folder = provided(preset.checkpoint, "model.safetensors").parent
    return load_encoder(folder, preset.encoder, pooling=preset.pooling)


@partial(nnx.jit, static_argnums=(0, 1))
def drawn(config: BertConfig, pooling: Pooling, std: float | Array, rngs: nnx.Rngs) -> SentenceEncoder:
    """A random model, see `widened_start`: one program for all seeds, where every shape would be one without `jit`."""
    return widened_start(SentenceEncoder(config, pooling, rngs=rngs), std)


def widened_start(model: SentenceEncoder, std: float | Array) -> SentenceEncoder:
    """A model at its start, with kernels and embeddings of `N(0, std^2)` instead of BERT's `N(0, 0.02^2)`."""

    def scaled(path: tuple, value: Array) -> Array:
        drawn = {"kernel", "words", "positions", "types"} & {str(getattr(part, "key", part)) for part in path}
        return value * (std / 0.02) if drawn else value

    nnx.update(model, jax.tree.map_with_path(scaled, nnx.state(model, nnx.Param)))
    return model


def train(sentences: Sentences, methods: dict[str, Method], keys: Array) -> tuple[nnx.GraphDef, Any, Float[np.ndarray, "..."]]:
    """Train every method with every seed: within a seed from the same weights, on the same batches, with the same draws.

    Args:
        sentences: data, and the preset's recipe.
        methods: by name.
        keys: one per seed.

    Returns:
        Graph, state and losses `[methods, seeds, ...]`.
    """
    preset, training = sentences.preset, sentences.preset.training
    runs = len(methods), len(keys)
    sizes = len(sentences.train), training.batch_size, training.steps
    indices = np.stack([epoch_indices(key, *sizes) for key in fold_keys(keys, 1)])
    tokens, labels = jax.device_put(sentences.train), jax.device_put(sentences.labels)

    def batch_at(data, step):
        chosen, method = data
        return tokens[chosen[step]], labels[chosen[step]], method

    data = (
        np.tile(indices, (runs[0], 1, 1)),
        Method(*(np.repeat(np.stack(x), runs[1], axis=0) for x in zip(*methods.values(), strict=True))),
    )
    graph, state, losses = fit_seeds(
        lambda rngs: build(preset, rngs),
        training.transformation(flat=True),
        training_loss(preset),
        batch_at,
        data,
        steps=training.steps,
        keys=jnp.tile(keys, runs[0]),
        one_by_one=preset.one_by_one,
    )
    return graph, *jax.tree.map(lambda x: np.asarray(x).reshape(*runs, *x.shape[1:]), (state, losses))
