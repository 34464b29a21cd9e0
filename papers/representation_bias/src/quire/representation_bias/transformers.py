"""Transformers on bits as tokens: a decoder that emits features one after the other, an encoder with all outputs at once."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import shared
from quire.common.random import generator
from quire.common.train.seeds import stack
from quire.representation_bias.conditions import BOTH
from quire.representation_bias.config import Preset, Transformers
from quire.representation_bias.features import Features, FeatureSpec, feature_values, held_out_bits, stack_features
from quire.representation_bias.networks import FeatureDecoder, FeatureEncoder, Outputs, feature_loss
from quire.representation_bias.training import Problem, Scores, adam_run, most_likely, scores, train_multi_feature

ORDERS = (1, -1)
"""Features are emitted forwards and backwards, so that a feature's place among the bits is not its place in the output."""


def draw(key: jax.Array, data: jax.Array, step: jax.Array) -> jax.Array:
    """The bits of a step, which were drawn before: a generator would take a third of the program's compilation."""
    return data[step].astype(jnp.float32)


def decoder_loss(model: FeatureDecoder, x: jax.Array, task: Features, step: jax.Array) -> jax.Array:
    """Cross-entropy of all features, the true ones before each given."""
    labels = feature_values(task, x)
    return feature_loss(model(x, labels), labels, task.classes, np.ones((1, labels.shape[1]), np.float32))


def decoder_answer(model: FeatureDecoder, x: jax.Array, task: Features) -> tuple[Outputs, jax.Array, jax.Array]:
    """Outputs after true features, the features, and what the network takes them for."""
    labels = feature_values(task, x)
    outputs = model(x, labels)
    return outputs, labels, most_likely(outputs, task.classes)


def encoder_loss(model: FeatureEncoder, x: jax.Array, task: Features, step: jax.Array) -> jax.Array:
    """Cross-entropy of all features."""
    labels = feature_values(task, x)
    return feature_loss(model(x), labels, task.classes, np.ones((1, labels.shape[1]), np.float32))


def encoder_answer(model: FeatureEncoder, x: jax.Array, task: Features) -> tuple[Outputs, jax.Array, jax.Array]:
    """Outputs, features, and what the network takes them for."""
    outputs = model(x)
    return outputs, feature_values(task, x), most_likely(outputs, task.classes)


def pairs(count: int) -> tuple[FeatureSpec, ...]:
    """Equally hard features: the exclusive or of bits 0 and 1, of 2 and 3, ..."""
    return tuple(FeatureSpec("xor2", (2 * i, 2 * i + 1)) for i in range(count))


def train_decoder(config: Transformers, keys: Sequence[jax.Array]) -> Scores:
    """Decoders that emit the same features in both orders; scores `[seeds, orders, 2, ...]`, layers bits and slots."""
    specs, bits = pairs(config.num_features), 2 * config.num_features
    tasks = [stack_features(specs[::step], bits) for step in ORDERS]
    build = partial(build_decoder, config)
    problem = Problem(draw, decoder_loss, decoder_answer)
    return _trained(config, build, problem, tasks, bits, keys)


def train_encoder(config: Transformers, keys: Sequence[jax.Array]) -> Scores:
    """Encoders of a copied bit and an exclusive or; scores `[seeds, 1, 2, ...]`, layers as `FeatureEncoder` hands them out."""
    bits = 2 * config.num_features
    problem = Problem(draw, encoder_loss, encoder_answer)
    return _trained(config, partial(build_encoder, config), problem, [stack_features(BOTH, bits)], bits, keys)


def build_decoder(config: Transformers, rngs) -> FeatureDecoder:
    """The decoder of a configuration."""
    count = config.num_features
    return FeatureDecoder(2 * count, count, dim=config.dim, depth=config.depth, num_heads=config.num_heads, rngs=rngs)


def build_encoder(config: Transformers, rngs) -> FeatureEncoder:
    """The encoder of a configuration."""
    sizes = {"dim": config.dim, "depth": config.depth, "num_heads": config.num_heads}
    return FeatureEncoder(2 * config.num_features, len(BOTH), 2, **sizes, rngs=rngs)


def _trained(config: Transformers, build, problem: Problem, tasks: list[Features], bits: int, keys) -> Scores:
    runs = [adam_run(build, task, config.rate, config.steps) for task in tasks]
    shape = config.steps, config.batch, bits
    data = np.stack([generator(jax.random.fold_in(key, 2)).integers(0, 2, shape, dtype=np.uint8) for key in keys])
    trained = train_multi_feature(keys, build, problem, runs, steps=config.steps, data=data)
    fit, test = held_out_bits(keys[0], config.num_eval, bits)
    return scores(trained, problem, stack(tasks), fit, test)


@shared
def transformer_study(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """R2 and accuracies of decoder and encoder.

    Returns:
        `"bits, block 1"`, `"slots, block 1"`, ... `[seeds, m]`: R2 of the features by their place in the output, in the tokens of
        the bits and in those at which features are emitted, means over both orders; `untrained`, the same before training;
        `accuracy [seeds]`, the lowest; `encoder [seeds, layers, 2]`, R2 of easy and hard feature; `encoder accuracy [seeds]`.
    """
    decoder = train_decoder(preset.transformers, list(keys))
    encoder = train_encoder(preset.transformers, list(keys))
    names = [f"{part}, block {block + 1}" for block in range(preset.transformers.depth) for part in ("bits", "slots")]
    by_name = lambda shares: dict(zip(names, np.moveaxis(shares.mean(1), 1, 0), strict=True))  # noqa: E731
    return {
        **by_name(decoder.shares()),
        "untrained": by_name(decoder.untrained()),
        "accuracy": decoder.accuracy[:, :, -1].min((1, 2)),
        "encoder": encoder.shares()[:, 0],
        "encoder accuracy": encoder.accuracy[:, 0, -1].min(1),
    }
