"""Pre-training: every arm and every seed as one program, told apart by the weights of the loss; contrastive fine-tuning."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checkpoints import read_safetensors
from quire.common.data.registry import provided
from quire.common.layers.bert import load_bert, load_mlm_head
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, fold_keys
from quire.dupmae.config import Preset
from quire.dupmae.decoder import Queries
from quire.dupmae.fine_tuning import contrastive_loss
from quire.dupmae.model import DupMAE, initial_dupmae
from quire.dupmae.objective import dupmae_loss, masked_batch
from quire.dupmae.retriever import DupMAERetriever
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
            mask_id=preset.mask_id,
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
    texts = Texts(*map(jax.device_put, corpus.train))
    sizes = len(corpus.train.tokens), training.batch_size, training.steps
    indices = np.stack([epoch_indices(key, *sizes) for key in fold_keys(keys, 1)])

    def batch_at(data, step):
        chosen, arm = data
        return jax.tree.map(lambda x: x[chosen[step]], texts), arm

    data = (
        np.tile(indices, (runs[0], 1, 1)),
        Arm(*(np.repeat(np.asarray(weights, np.float32), runs[1]) for weights in zip(*arms.values(), strict=True))),
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


def build_retriever(preset: Preset, model: DupMAE, key: Array) -> DupMAERetriever:
    """A retriever around a pre-trained model; its reduction starts orthogonal, so that no inner product is stretched."""
    square = generator(key).standard_normal((preset.encoder.dim, preset.encoder.dim))
    reduction = np.linalg.qr(square)[0][:, : preset.reduced].astype(np.float32)
    return DupMAERetriever(model, jax.device_put(reduction), preset.top_n)


def fine_tune(
    corpus: Corpus, models: Sequence[DupMAE], key: Array
) -> tuple[nnx.GraphDef, Any, Float[np.ndarray, "models steps"]]:
    """Contrastive fine-tuning of several models side by side, on the same batches.

    Args:
        corpus: with pairs of queries and passages; a preset without a recipe for them is an error.
        models: pre-trained, of one size.
        key: of the batches and reductions.

    Returns:
        Graph, state and losses `[models, ...]` of the retrievers.

    Raises:
        ValueError: if the corpus has no pairs, or the preset no recipe.
    """
    preset, training = corpus.preset, corpus.preset.fine_tuning
    if training is None or corpus.pairs is None:
        raise ValueError(f"fine_tuning is {training} for {corpus.name}; it needs a recipe and pairs of queries and passages")
    queries, passages = (Texts(*map(jax.device_put, side)) for side in corpus.pairs)
    group = len(corpus.pairs[1].tokens) // len(corpus.pairs[0].tokens)
    indices = epoch_indices(key, len(corpus.pairs[0].tokens), training.batch_size, training.steps)

    def batch_at(data, step):
        chosen = data[step]
        rows = (group * chosen[:, None] + jnp.arange(group)[None]).reshape(-1)
        return jax.tree.map(lambda x: x[chosen], queries), jax.tree.map(lambda x: x[rows], passages)

    def loss(retriever: DupMAERetriever, batch: tuple[Texts, Texts], key: Array) -> Array:
        sides = [(side.tokens, jnp.arange(side.tokens.shape[1])[None] < side.lengths[:, None]) for side in batch]
        return contrastive_loss(retriever, *sides[0], *sides[1], temperature=preset.temperature)

    starts = iter(models)
    graph, state, losses = fit_seeds(
        lambda rngs: build_retriever(preset, next(starts), rngs.params()),
        training.transformation(flat=True),
        loss,
        batch_at,
        np.stack(len(models) * [indices]),
        steps=training.steps,
        keys=jnp.stack(len(models) * [key]),
        one_by_one=preset.one_by_one,
    )
    return graph, state, np.asarray(losses)
