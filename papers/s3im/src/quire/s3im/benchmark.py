"""What `quire bench s3im` times: S3IM with its gradient over gathered windows, and by convolution of wide images."""

from functools import partial

import jax
import jax.numpy as jnp

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.s3im.loss import Method, s3im_loss
from quire.s3im.paper import paper
from quire.s3im.virtual_patches import drawn_orders

REPEATS = 10


def slope(pred, target, orders, *, method: Method):
    """The loss and its gradient, of a square patch."""
    side = round(len(pred) ** 0.5)
    return jax.value_and_grad(lambda x: s3im_loss(x, target, patch=(side, side), perms=orders, method=method))(pred)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both on the same n pixels in the same ten orders; n is a square."""
    draw = generator(key)
    pred, target = (jnp.asarray(draw.random((n, 3)), jnp.float32) for _ in range(2))
    args = (pred, target, jnp.asarray(drawn_orders(draw, 1, REPEATS, n)[0]))
    flops = 3 * 5 * 2.0 * REPEATS * n * 3  # five weighted sums, and the gradient costs twice as much again
    methods: dict[str, Method] = {"gathered windows": "windows", "convolution": "convolution"}
    return {name: Case(partial(slope, method=method), args, flops) for name, method in methods.items()}


benchmark = Benchmark("S3IM of ten orders, with its gradient", size="pixels n", sizes=(1024, 4096, 16_384), cases=cases)
paper.benchmark = benchmark
