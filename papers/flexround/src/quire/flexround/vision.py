"""A classifier of images: trained (or read from published weights), quantised by every method, scored."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import numpy as np
import optax
from flax import nnx

from quire.common.checkpoints import Source, load, read_safetensors, same, transposed
from quire.common.data.registry import provided
from quire.common.layers.resnet import ResNet, torch_names
from quire.common.random import generator
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.seeds import fit_seeds, fold_keys, over_seeds, stack
from quire.flexround.blockwise import QuantizedModel, quantize_models
from quire.flexround.config import VisionSizes
from quire.flexround.networks import Chain, drawn, fold, mlp, residual_network
from quire.flexround.scheme import Scheme
from quire.flexround.sources import Images


def build(sizes: VisionSizes, shape: tuple[int, int, int], classes: int, rngs: nnx.Rngs) -> Chain:
    """The network of a preset for images of a shape `(height, width, channels)`."""
    if sizes.width is None:
        return mlp((int(np.prod(shape)), *sizes.network, classes), rngs=rngs)
    stem = "cifar" if shape[0] < 64 else "imagenet"
    resnet = ResNet(sizes.network, width=sizes.width, stem=stem, in_channels=shape[2], rngs=rngs)
    return residual_network(resnet, classes, rngs=rngs)


def trained_models(sizes: VisionSizes, images: Images, keys: jax.Array) -> list[Chain]:
    """A model for each key, batch norms folded into the weights; of published weights, the same one for all.

    Raises:
        DatasetUnavailable: if the published weights are not on this machine.
        ValueError: if there is nothing to train on.
    """
    if sizes.training is None:
        return [published_model(sizes, images)] * len(keys)
    if images.train is None:
        raise ValueError(f"{images.name} is not held in memory; take published weights (training=None)")
    training, count = sizes.training, len(images.train)

    def make(rngs):
        return drawn(lambda r: build(sizes, images.shape, images.classes, r), rngs.params())

    def loss(model, batch, key):
        return optax.softmax_cross_entropy_with_integer_labels(model(batch[0]), batch[1]).mean()

    arrays = [np.broadcast_to(a, (len(keys), *a.shape)) for a in (images.train.images, images.train.labels)]
    rows = stack([epoch_indices(key, count, training.batch_size, training.steps) for key in fold_keys(keys, 1)])
    tx = training.transformation(flat=True)
    graph, state, _ = fit_seeds(make, tx, loss, take_batch, (tuple(arrays), rows), steps=training.steps, keys=keys)
    return [fold(nnx.merge(graph, one)) for one in unstacked(state, len(keys))]


def unstacked(state: nnx.State, count: int) -> list[nnx.State]:
    """The states of a stack, sliced on the host."""
    host = jax.device_get(state)
    return [jax.tree.map(lambda a, i=i: jax.device_put(a[i]), host) for i in range(count)]


def published_model(sizes: VisionSizes, images: Images) -> Chain:
    """The network with torchvision's weights of ResNet-18, folded.

    Raises:
        DatasetUnavailable: if they are not on this machine.
        ValueError: if an array is missing, left over or of another shape.
    """
    model = nnx.eval_shape(lambda: build(sizes, images.shape, images.classes, nnx.Rngs(0)))
    state = read_safetensors(provided("torchvision-resnet18", "resnet18.safetensors"))
    return load_published(model, state, sizes.network)


def load_published(model: Chain, state: dict[str, np.ndarray], depths: Sequence[int]) -> Chain:
    """A `residual_network` with the weights of torchvision's ResNet of these depths, folded.

    Args:
        model: may be abstract (`nnx.eval_shape`).
        state: arrays by torchvision's names; the counters of batches are left out.
        depths: blocks of each stage.

    Raises:
        ValueError: if an array is missing, left over or of another shape.
    """
    wanted = {name: x for name, x in state.items() if not name.endswith("num_batches_tracked")}
    return fold(load(model, wanted, published_names(model, depths)))


def published_names(model: Chain, depths: Sequence[int]) -> dict[tuple, Source]:
    """Names of torchvision's `resnet*` for every parameter of a `residual_network`, for `checkpoints.load`."""
    first = np.cumsum([1, *depths])
    resnet = nnx.eval_shape(lambda: ResNet(depths, width=1, rngs=nnx.Rngs(0)))
    names = {}
    for path, source in torch_names(resnet).items():
        place, rest = (0, path) if path[0] == "stem" else (int(first[path[1]]) + path[2], path[3:])
        names["stages", place, *rest] = source
    head = ("stages", len(model.stages) - 1, "head")
    return names | {(*head, "kernel"): transposed("fc.weight"), (*head, "bias"): same("fc.bias")}


def accuracy(models: Sequence[Chain], images: Images, *, batch_size: int = 500) -> np.ndarray:
    """Share of right test images, `[models]`."""
    graphs, states = zip(*map(nnx.split, models), strict=True)
    right = over_seeds(graphs[0], lambda model, x, y: (model(x).argmax(-1) == y).sum())
    state, counts, total, size = stack(states), np.zeros(len(models)), 0, 0
    for batch, labels in images.test(batch_size):
        size = size or len(labels)
        rest = size - len(labels)  # the last batch is padded, so that one program serves
        padded = np.pad(batch, ((0, rest), (0, 0), (0, 0), (0, 0))), np.pad(labels, (0, rest), constant_values=-1)
        counts += np.asarray(right(state, *padded))
        total += len(labels)
    return counts / total


def quantized_models(
    models: Sequence[Chain], images: Images, sizes: VisionSizes, scheme: Scheme, keys: jax.Array
) -> list[QuantizedModel]:
    """Every model quantised on calibration images of its own."""
    seeds = [int(generator(key).integers(2**31)) for key in fold_keys(keys, 2)]
    inputs = np.stack([images.calibrate(sizes.calibration, seed) for seed in seeds])
    return quantize_models(models, inputs, scheme, keys=list(keys))


def schemes(sizes: VisionSizes) -> dict[str, Scheme]:
    """The methods that are compared, each at the best of the rates that were tried."""
    return {
        "RTN": replace(sizes.scheme, method="rtn"),
        "FlexRound": sizes.scheme,
        "AdaRound": replace(sizes.scheme, method="adaround", rate=sizes.adaround_rate),
    }
