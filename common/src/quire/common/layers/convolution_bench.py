"""Convolutions against XLA's own, outside and inside of a loop: `python -m quire.common.layers.convolution_bench --shapes small`.

Times are the fastest of a few calls: of a forward pass, of a gradient by input and kernel, and of one step of a `lax.scan` over
such gradients.
"""

import math
from argparse import ArgumentParser
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from rich.console import Console
from rich.table import Table

from quire.common.bench import Case, measure
from quire.common.layers.convolution import Implementation, conv_nd

LOOP_STEPS = 2


@dataclass(frozen=True)
class Shape:
    """One layer: `[batch, side, side, channels] -> out` channels."""

    name: str
    batch: int
    side: int
    channels: int
    out: int
    size: int = 3
    stride: int = 1
    groups: int = 1


SHAPES = {
    "small": (
        Shape("CIFAR 16", 8, 32, 16, 16),
        Shape("CIFAR 16-32 /2", 8, 32, 16, 32, stride=2),
        Shape("CIFAR 32, 5x5", 8, 16, 32, 32, size=5),
        Shape("CIFAR 64", 8, 8, 64, 64),
        Shape("MNIST stem", 8, 28, 1, 16),
        Shape("4x4 patches", 8, 32, 3, 32, size=4, stride=4),
        Shape("4 groups", 8, 16, 64, 64, groups=4),
        Shape("depthwise", 8, 16, 64, 64, groups=64),
    ),
    "resnet18": (
        Shape("stem 7x7 /2", 2, 224, 3, 64, size=7, stride=2),
        Shape("56, 64", 2, 56, 64, 64),
        Shape("56, 64-128 /2", 2, 56, 64, 128, stride=2),
        Shape("1x1, 64-128 /2", 2, 56, 64, 128, size=1, stride=2),
        Shape("28, 128", 2, 28, 128, 128),
        Shape("14, 256", 2, 14, 256, 256),
        Shape("7, 512", 2, 7, 512, 512),
    ),
    "mobilenet": (
        Shape("stem 3x3 /2", 2, 224, 3, 32, stride=2),
        Shape("depthwise 112, 32", 2, 112, 32, 32, groups=32),
        Shape("1x1 112, 32-64", 2, 112, 32, 64, size=1),
        Shape("depthwise 56, 128 /2", 2, 56, 128, 128, stride=2, groups=128),
        Shape("1x1 28, 256", 2, 28, 256, 256, size=1),
        Shape("depthwise 14, 512", 2, 14, 512, 512, groups=512),
        Shape("1x1 14, 512", 2, 14, 512, 512, size=1),
    ),
}


def implementations(shape: Shape, every: bool) -> list[Implementation]:
    """XLA's and what `auto` takes, or every one that can compute the layer."""
    if not every:
        return ["xla", "auto"]
    tiles = shape.size in (1, shape.stride)
    known: list[Implementation] = ["xla", "auto", "canonical", "im2col", "shifted"]
    return [*known, "patches"] if tiles else known


def arrays(shape: Shape) -> tuple[jax.Array, jax.Array]:
    """Input and kernel."""
    rng = np.random.default_rng(0)
    fan_in = shape.size**2 * shape.channels // shape.groups
    x = rng.standard_normal((shape.batch, shape.side, shape.side, shape.channels), np.float32)
    kernel = rng.standard_normal((shape.size, shape.size, shape.channels // shape.groups, shape.out), np.float32)
    return jnp.asarray(x), jnp.asarray(kernel / math.sqrt(fan_in))


def cases(shape: Shape, impl: Implementation, x: jax.Array, kernel: jax.Array) -> dict[str, Case]:
    """Forward pass, gradient, and a loop of gradient steps."""

    def forward(x, kernel):
        return conv_nd(x, kernel, stride=shape.stride, groups=shape.groups, impl=impl)

    gradient = jax.grad(lambda x, kernel: 0.5 * jnp.sum(forward(x, kernel) ** 2), (0, 1))

    def loop(x, kernel):
        def step(state, _):
            return jax.tree.map(lambda p, g: p - 1e-3 * g, state, gradient(*state)), None

        return lax.scan(step, (x, kernel), length=LOOP_STEPS)[0]

    return {
        name: Case(function, (x, kernel)) for name, function in (("forward", forward), ("gradient", gradient), ("loop", loop))
    }


def milliseconds(shape: Shape, impl: Implementation, repeats: int) -> dict[str, float]:
    """The fastest call of each; of one step for the loop."""
    timed = {}
    for name, case in cases(shape, impl, *arrays(shape)).items():
        timing = measure(case, repeats=repeats, budget=0.5)
        timed[name] = 1e3 * timing.fastest / (LOOP_STEPS if name == "loop" else 1)
    return timed


def table(name: str, repeats: int, every: bool, console: Console) -> None:
    """Print the times of one family of layers, each with its ratio to XLA's own: below 1 is faster."""
    rows = Table(title=f"{name} on {jax.default_backend()}: ms (ratio to XLA's own)", title_justify="left")
    for heading in ("layer", "implementation", "forward", "gradient", "gradient in a loop"):
        rows.add_column(heading, justify="left" if heading in ("layer", "implementation") else "right")
    for shape in SHAPES[name]:
        own = {}
        for impl in implementations(shape, every):
            times = milliseconds(shape, impl, repeats)
            own = own or times
            cells = [f"{times[column]:.2f} ({times[column] / own[column]:.2f})" for column in times]
            rows.add_row(shape.name if impl == "xla" else "", impl, *cells)
        rows.add_section()
    console.print(rows)


def main() -> None:
    """The command line."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", choices=[*SHAPES, "all"], default="small", help="which layers (default: small)")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls for each number")
    parser.add_argument("--every", action="store_true", help="every implementation, not only what auto takes")
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error(f"--repeats is {options.repeats}; it must be at least 1")
    for name in SHAPES if options.shapes == "all" else [options.shapes]:
        table(name, options.repeats, options.every, Console(width=120))


if __name__ == "__main__":
    main()
