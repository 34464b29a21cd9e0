"""Pre-training: every arm and every seed as one program, told apart by the weights of the loss; contrastive fine-tuning."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checkpoints import read_safetensors
from quire.common.data.registry import provided
from quire.common.layers.bert import load_bert, load_mlm_head
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, fold_keys
from quire.dupmae.config import Preset
from quire.dupmae.decoder import Queries
from quire.dupmae.model import DupMAE, initial_dupmae
from quire.dupmae.objective import dupmae_loss, masked_batch
from quire.dupmae.sources import Corpus, Texts


class Arm(NamedTuple):
    """Weights of the two decoding tasks.

    Attributes:
        decoding: of the sentence from its vector.
        bow: of the bag of words.
    """

    decoding: Float[np.ndarray, "*runs"] | float
    bow: Float[np.ndarray, "*runs"] | float


def build(preset: Preset, key: Array) -> DupMAE:
    """A model at the start: random, or with published weights and a random decoder.

    Raises:
        DatasetUnavailable: if these are not on this machine.
    """
    model = initial_dupmae(preset.encoder, key, preset.initial_std)
    if preset.checkpoint:
        state = read_safetensors(provided(preset.checkpoint, "model.safetensors"))
        load_bert(model.encoder, state, "bert.")
        load_mlm_head(model.head, state)
    return model


def pretraining_loss(preset: Preset, queries: Queries):
    """`loss(model, (texts, arm), key)`: one step's loss, masks drawn by the key."""

    def loss(model: DupMAE, batch: tuple[Texts, Arm], key: Array) -> Array:
        texts, arm = batch
        masked = masked_batch(
            key,
            *texts,
            vocab=preset.encoder.vocab_size,
            encoder_rate=preset.encoder_rate,
            decoder_rate=preset.decoder_rate,
            pool=preset.mask_pool,
        )
        weights = {"bow_weight": arm.bow, "decoding_weight": arm.decoding}
        return dupmae_loss(model, masked, **weights, queries=queries, chunk=preset.chunk)[0]

    return loss


def pretrain(
    corpus: Corpus, arms: Mapping[str, Arm], keys: Array, queries: Queries = "dupmae"
) -> tuple[nnx.GraphDef, Any, Float[np.ndarray, "arms seeds steps"]]:
    """Train every arm with every seed: within a seed from the same weights, on the same batches, with the same masks.

    Args:
        corpus: texts, and the preset's recipe.
        arms: by name.
        keys: one per seed.
        queries: form of the decoder's query stream.

    Returns:
        Graph, state and losses `[arms, seeds, ...]`.
    """
    preset, training, runs = corpus.preset, corpus.preset.training, (len(arms), len(keys))
    texts = Texts(*map(jnp.asarray, corpus.train))
    sizes = len(corpus.train.tokens), training.batch_size, training.steps
    indices = np.stack([epoch_indices(key, *sizes) for key in fold_keys(keys, 1)])

    def batch_at(data, step):
        chosen, arm = data
        return jax.tree.map(lambda x: x[chosen[step]], texts), arm

    data = (
        np.tile(indices, (runs[0], 1, 1)),
        Arm(*(np.repeat(np.float32(weights), runs[1]) for weights in zip(*arms.values(), strict=True))),
    )
    graph, state, losses = fit_seeds(
        lambda rngs: build(preset, rngs.params()),
        training.transformation(flat=True),
        pretraining_loss(preset, queries),
        batch_at,
        data,
        steps=training.steps,
        keys=jnp.tile(keys, runs[0]),
        one_by_one=preset.one_by_one,
    )
    return graph, *jax.tree.map(lambda x: np.asarray(x).reshape(*runs, *x.shape[1:]), (state, losses))
