"""Transformers on bits as tokens: a decoder that emits equal features one after the other, an encoder with all outputs at once."""

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np

from quire.common.claims import shared
from quire.common.train.seeds import stack
from quire.representation_bias.conditions import BOTH
from quire.representation_bias.config import Preset, Transformers
from quire.representation_bias.features import Features, FeatureSpec, feature_values, random_bits, stack_features
from quire.representation_bias.networks import FeatureDecoder, FeatureEncoder, Outputs, feature_loss
from quire.representation_bias.training import Problem, Scores, adam_run, most_likely, scores, train_multi_feature

ORDERS = (1, -1)
"""Features are emitted forwards and backwards, so that a feature's place among the bits is not its place in the output."""


def draw(batch: int, bits: int, key: jax.Array, data: None) -> jax.Array:
    """A fresh batch of bits."""
    return random_bits(key, batch, bits)


def decoder_loss(model: FeatureDecoder, x: jax.Array, task: Features, step: jax.Array) -> jax.Array:
    """Cross-entropy of all features, the true ones before each given."""
    labels = feature_values(task, x)
    return feature_loss(model(x, labels), labels, task.classes, np.ones((1, labels.shape[1]), np.float32))


def decoder_answer(model: FeatureDecoder, x: jax.Array, task: Features) -> tuple[Outputs, jax.Array, jax.Array]:
    """Outputs after true features, the features, and what the network emits by itself."""
    labels = feature_values(task, x)
    return model(x, labels), labels, model.decode(x)


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
    problem = Problem(partial(draw, config.batch, bits), decoder_loss, decoder_answer)
    return _trained(config, build, problem, tasks, bits, keys)


def train_encoder(config: Transformers, keys: Sequence[jax.Array]) -> Scores:
    """Encoders of a copied bit and an exclusive or; scores `[seeds, 1, 2, ...]`, layers as `FeatureEncoder` hands them out."""
    bits = 2 * config.num_features
    problem = Problem(partial(draw, config.batch, bits), encoder_loss, encoder_answer)
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
    runs = [adam_run(build, task, config.rate) for task in tasks]
    trained = train_multi_feature(keys, build, problem, runs, steps=config.steps)
    fit, test = (np.asarray(random_bits(jax.random.fold_in(keys[0], -i), config.num_eval, bits)) for i in (1, 2))
    return scores(trained, problem, stack(tasks), fit, test)


@shared
def transformer_study(preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """R2 and accuracies of decoder and encoder.

    Returns:
        `slots` and `bits [seeds, m]`: R2 of the features by their place in the output, in the tokens at which features are emitted
        and in those of the bits, means over both orders; `untrained slots` alike; `accuracy [seeds]`, the lowest; `encoder
        [seeds, layers, 2]`, R2 of easy and hard feature; `untrained encoder` alike; `encoder accuracy [seeds]`.
    """
    decoder = train_decoder(preset.transformers, list(keys))
    encoder = train_encoder(preset.transformers, list(keys))
    shares, untrained = decoder.shares().mean(1), decoder.untrained().mean(1)
    return {
        "bits": shares[:, 0],
        "slots": shares[:, 1],
        "untrained bits": untrained[:, 0],
        "untrained slots": untrained[:, 1],
        "accuracy": decoder.accuracy[:, :, -1].min((1, 2)),
        "encoder": encoder.shares()[:, 0],
        "untrained encoder": encoder.untrained()[:, 0],
        "encoder accuracy": encoder.accuracy[:, 0, -1].min(1),
    }
