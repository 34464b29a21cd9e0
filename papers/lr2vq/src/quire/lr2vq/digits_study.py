"""L2 to L4: perceptrons of low rank, clustered and fine-tuned, for every rank and seed in one program each.

A rank below m is a matrix whose other columns are zero: they stay zero under gradient steps, since the gradient of one factor is
a product with the other. So networks of all ranks have one shape and train under one `vmap`.
"""

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from quire.common.claims import shared
from quire.common.data.images import ImageData, digits, mnist_t10k, pixels
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.quant.codebooks import kmeans, kmeans_start
from quire.common.train.batches import epoch_indices
from quire.lr2vq.config import Network, Preset
from quire.lr2vq.low_rank import LowRank, low_rank_normal, orthonormal

Layers = list[LowRank]


class Split(NamedTuple):
    """Pixels `[n, features]` and labels `[n]`, for training, validation and test."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    name: str
    majority: float


def load_split(image_set: str) -> Split:
    """A fifth of the training images validates.

    Raises:
        DatasetUnavailable: if the images are missing and cannot be downloaded.
        ValueError: for an image set that there is not.
    """
    loaders = {"digits": digits, "mnist-t10k": lambda: mnist_t10k(8000, 0)}
    if image_set not in loaders:
        raise ValueError(f"image_set is {image_set!r}; it must be one of {', '.join(loaders)}")
    data: ImageData = loaders[image_set]()
    x, z = (np.asarray(pixels(part.images)).reshape(len(part), -1) for part in (data.train, data.test))
    mean, std = x.mean(), x.std()
    kept = len(x) - len(x) // 5
    train, held = ((x[part] - mean) / std for part in (slice(kept), slice(kept, None)))
    labels = data.train.labels
    return Split((train, labels[:kept]), (held, labels[kept:]), ((z - mean) / std, data.test.labels), data.name, data.majority)


def widths_of(config: Network, features: int, classes: int = 10) -> tuple[int, ...]:
    """Widths of all layers."""
    return features, *config.hidden, classes


def start(key: jax.Array, widths: tuple[int, ...], m: int, d: int) -> dict[str, list]:
    """Factors of rank d, padded with zeros to m, and biases of zero.

    Raises:
        ValueError: if m does not divide the weights of a layer.
    """
    layers, biases = [], []
    for layer, (a, b) in enumerate(pairwise(widths)):
        if a * b % m:
            raise ValueError(f"m is {m}; it must divide the {a * b} weights of layer {layer}")
        layers.append(padded(low_rank_normal(jax.random.fold_in(key, layer), a * b // m, m, d, fan_in=a), m))
        biases.append(jnp.zeros(b))
    return {"layers": layers, "biases": biases}


def padded(factors: LowRank, m: int) -> LowRank:
    """Factors of rank m, the new columns and rows zero."""
    missing = m - factors.rows.shape[1]
    rows, basis = np.pad(factors.rows, ((0, 0), (0, missing))), np.pad(factors.basis, ((0, missing), (0, 0)))
    return LowRank(jnp.asarray(rows), jnp.asarray(basis))


def logits(params: dict[str, list], codes: list | None, x: Float[Array, "n features"]) -> Float[Array, "n classes"]:
    """The perceptron; with codes, the rows of every layer are codewords."""
    for layer, (factors, bias) in enumerate(zip(params["layers"], params["biases"], strict=True)):
        s = factors.rows @ factors.basis
        s = s if codes is None else s[codes[layer]]
        x = (jax.nn.relu(x) if layer else x) @ s.reshape(bias.size, x.shape[1]).T + bias[None]
    return x


def accuracy(params, codes, x, labels) -> Float[Array, ""]:
    """Share of right answers."""
    return jnp.mean(logits(params, codes, x).argmax(1) == labels)


@partial(jax.jit, static_argnames="steps")
def train(params, codes, data, batches: Int[Array, "models steps batch"], rates: Float[Array, " models"], *, steps: int):
    """Train all models, each by Adam with its own rate, falling as a cosine.

    Args:
        params, codes: of the models, a leading axis on every leaf; no codes for low-rank networks.
        data: pixels and labels, of all models.
        batches: indices of the images of every step.
        rates: learning rates.
        steps: how many.

    Returns:
        Trained parameters and losses `[models, steps]`.
    """
    x, labels = data

    def one(params, codes, batches, rate):
        tx = optax.adam(optax.cosine_decay_schedule(1.0, steps))

        def step(carry, batch):
            params, state = carry
            loss = lambda p: smoothed_cross_entropy(logits(p, codes, x[batch]), labels[batch])  # noqa: E731
            value, slope = jax.value_and_grad(loss)(params)
            updates, state = tx.update(slope, state)
            return (optax.apply_updates(params, jax.tree.map(lambda u: rate * u, updates)), state), value

        (params, _), losses = jax.lax.scan(step, (params, tx.init(params)), batches)
        return params, losses

    return jax.vmap(one, in_axes=(0, None if codes is None else 0, 0, 0))(params, codes, batches, rates)


scores = jax.jit(jax.vmap(accuracy, in_axes=(0, 0, None, None)))
dense_scores = jax.jit(jax.vmap(lambda params, x, labels: accuracy(params, None, x, labels), in_axes=(0, None, None)))
_lloyd = jax.jit(jax.vmap(lambda rows, first: kmeans(rows, len(first), start=first)))


def cluster(params: dict[str, list], ranks: list[int], k: int, keys: list[jax.Array]) -> tuple[dict[str, list], list]:
    """Every layer of every model: representations made orthonormal on the host, then k-means over them, all models at once.

    Args:
        params: trained, a leading axis of models.
        ranks: of the models.
        k: codewords.
        keys: of the models, for k-means++.

    Returns:
        Parameters whose rows are the codebooks, and codes `[models, n]` of every layer.
    """
    layers, codes = [], []
    for number, factors in enumerate(params["layers"]):
        flat = [_orthonormal(LowRank(rows, basis), d) for rows, basis, d in zip(*map(np.asarray, factors), ranks, strict=True)]
        rows, basis = (np.stack(part) for part in zip(*flat, strict=True))
        first = [kmeans_start(r, k, jax.random.fold_in(key, number)) for r, key in zip(rows, keys, strict=True)]
        found = _lloyd(jax.device_put(rows), jax.device_put(np.stack(first)))
        layers.append(LowRank(found.centres, jax.device_put(basis)))
        codes.append(found.labels)
    return {"layers": layers, "biases": params["biases"]}, codes


def _orthonormal(factors: LowRank, d: int) -> LowRank:
    m = factors.basis.shape[1]
    found = jax.device_get(orthonormal(LowRank(jax.device_put(factors.rows[:, :d]), jax.device_put(factors.basis[:d]))))
    return padded(LowRank(*found), m)


@shared
def digits_study(preset: Preset, keys: jax.Array) -> dict:
    """Networks of all ranks and seeds before clustering, after it, and fine-tuned; accuracies on the test images.

    Returns:
        `before [seeds, dims]`; `clustered` and `tuned [seeds, codewords, dims]`; `rate`, the learning rate that validation chose,
        alike; the losses of the low-rank networks `[seeds, dims, steps]`.
    """
    config = preset.network
    split = load_split(config.image_set)
    models = [(key, d) for key in keys for d in config.dims]
    widths = widths_of(config, split.train[0].shape[1])
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[start(key, widths, config.m, d) for key, d in models])
    recipe, ranks = config.pretraining, [d for _, d in models]
    params, losses = train(
        params,
        None,
        split.train,
        _batches(models, split, recipe.batch_size, recipe.steps),
        _rates(models, recipe.learning_rate),
        steps=recipe.steps,
    )
    shape = (len(keys), len(config.dims))
    found = {
        "before": np.asarray(dense_scores(params, *split.test)).reshape(shape),
        "loss": np.asarray(losses).reshape(*shape, -1),
    }
    by_k = [_compressed(params, ranks, models, split, config, k) for k in config.codewords]
    for name in by_k[0]:
        found[name] = np.stack([each[name].reshape(shape) for each in by_k], axis=1)
    return found | {"name": split.name, "majority": split.majority}


def _compressed(params, ranks, models, split: Split, config: Network, k: int) -> dict[str, np.ndarray]:
    """Accuracies of the models after clustering, and after fine-tuning at the rate of the best validation."""
    clustered, codes = cluster(params, ranks, k, [key for key, _ in models])
    batches = _batches(models, split, config.pretraining.batch_size, config.finetuning_steps)
    validation, test = [], []
    for rate in config.rates:
        tuned, _ = train(clustered, codes, split.train, batches, _rates(models, rate), steps=config.finetuning_steps)
        validation.append(np.asarray(scores(tuned, codes, *split.validation)))
        test.append(np.asarray(scores(tuned, codes, *split.test)))
    best = np.argmax(validation, axis=0)
    chosen = np.take_along_axis(np.stack(test), best[None], axis=0)[0]
    return {
        "clustered": np.asarray(scores(clustered, codes, *split.test)),
        "tuned": chosen,
        "rate": np.asarray(config.rates)[best],
    }


def _rates(models, rate: float) -> np.ndarray:
    return np.full(len(models), rate, np.float32)


def _batches(models, split: Split, batch_size: int, steps: int) -> np.ndarray:
    """Indices `[models, steps, batch]`; the networks of one seed see the same images."""
    drawn = {}
    for key, _ in models:
        name = jax.random.key_data(key).tobytes()
        if name not in drawn:
            drawn[name] = np.asarray(epoch_indices(jax.random.fold_in(key, 99), len(split.train[0]), batch_size, steps))
    return np.stack([drawn[jax.random.key_data(key).tobytes()] for key, _ in models])
