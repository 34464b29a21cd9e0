"""Networks: a trunk that makes features, a linear head on it, and a student with a head for every teacher."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive
from quire.common.layers.initialisers import normal
from quire.common.layers.resnet import ResNet

Build = Callable[[int, nnx.Rngs], tuple[nnx.Module, int]]
"""`build(width, rngs) -> trunk, features`: the backbone of an experiment at any width."""

PYTORCH, HE = 1 / 3, 2.0
"""Variances of initial weights times the inputs of a layer: what PyTorch draws by default, and He et al. (2015)."""


class Perceptron(nnx.Module):
    """Linear maps with a ReLU after each; images are flattened.

    Args:
        widths: of the input and of every layer; the last one is the number of features.
        gain: variance of the initial weights times the inputs of a layer; a third is that of PyTorch's default, 2 is He's.
        rngs: for normal weights, drawn on the host; biases start at zero.

    Raises:
        ValueError: without a layer, or for a width below 1 or a gain that is not positive.

    >>> Perceptron((64, 16, 8), rngs=nnx.Rngs(0))(jnp.ones((2, 8, 8, 1))).shape
    (2, 8)
    """

    def __init__(self, widths: Sequence[int], *, gain: float = PYTORCH, rngs: nnx.Rngs):
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(f"widths is {tuple(widths)}; it needs an input and a layer, all at least 1")
        check_positive("gain", gain)
        sizes = pairwise(widths)
        self.layers = nnx.List([nnx.Linear(a, b, kernel_init=normal((gain / a) ** 0.5), rngs=rngs) for a, b in sizes])

    def __call__(self, x: Num[AnyArray, "batch ..."]) -> Float[Array, "batch features"]:
        """Features of a batch."""
        h = jnp.asarray(x).reshape(len(x), -1)
        for layer in self.layers:
            h = jax.nn.relu(layer(h))
        return h


class Classifier(nnx.Module):
    """A trunk and a linear head on its features, which starts near zero.

    Args:
        trunk: inputs to features.
        dim: number of features.
        classes: of the task.
        rngs: for the head.
    """

    def __init__(self, trunk: nnx.Module, dim: int, classes: int, *, rngs: nnx.Rngs):
        check_at_least("classes", classes)
        self.trunk = trunk
        self.head = nnx.Linear(dim, classes, kernel_init=normal(0.01), rngs=rngs)

    def __call__(self, x: Num[AnyArray, "batch ..."]) -> Float[Array, "batch classes"]:
        """Logits."""
        return self.head(self.trunk(x))


class Student(nnx.Module):
    """A trunk with a head for every teacher; the heads are dropped after distillation.

    Args:
        trunk, dim, classes, rngs: as for a classifier.
        teachers: how many.
        temperature: of the distillation, positive; a variable, so that students of several ones train side by side.
    """

    def __init__(self, trunk: nnx.Module, dim: int, classes: int, teachers: int, *, temperature: float = 2.0, rngs: nnx.Rngs):
        check_at_least("teachers", teachers)
        check_positive("temperature", temperature)
        self.temperature = nnx.Variable(jnp.asarray(temperature, jnp.float32))
        self.trunk = trunk
        self.kernel = nnx.Param(normal(0.01)(rngs.params(), (teachers, classes, dim)))
        self.bias = nnx.Param(jnp.zeros((teachers, classes)))


def backbone(name: str, image_shape: tuple[int, ...], *, gain: float = PYTORCH) -> Build:
    """Backbones by name: `"perceptron"` of two layers of one width, `"resnet18"` and `"resnet50"` for small images.

    Args:
        name: of the architecture.
        image_shape: `(height, width, channels)`.
        gain: of the initial weights of a perceptron.

    Raises:
        ValueError: for another name.

    >>> trunk, features = backbone("perceptron", (8, 8, 1))(16, nnx.Rngs(0))
    >>> features
    16
    """
    residual = {"resnet18": ((2, 2, 2, 2), 1), "resnet50": ((3, 4, 6, 3), 4)}
    if name != "perceptron" and name not in residual:
        raise ValueError(f"name is {name!r}; it must be one of perceptron, {', '.join(residual)}")

    def build(width: int, rngs: nnx.Rngs) -> tuple[nnx.Module, int]:
        if name == "perceptron":
            return Perceptron((math.prod(image_shape), width, width), gain=gain, rngs=rngs), width
        depths, expansion = residual[name]
        net = ResNet(depths, width=width, expansion=expansion, stem="cifar", in_channels=image_shape[-1], rngs=rngs)
        return net, width * 2 ** (len(depths) - 1) * expansion

    return build


def classifier(build: Build, width: int, classes: int, key: jax.Array) -> Classifier:
    """A trunk of some width and its head, both from one key."""
    rngs = nnx.Rngs(key)
    trunk, dim = build(width, rngs)
    return Classifier(trunk, dim, classes, rngs=rngs)
