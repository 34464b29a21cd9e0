"""Virtual patches: the pixels of a batch, which are no neighbours, laid out as images in several random orders."""

from functools import cache
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids, is_concrete

Layout = Literal["code", "tiles"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)


def pixel_orders(key: jax.Array | None, repeats: int, n: int) -> Int[Array, "repeats n"]:
    """Orders of n pixels: as they come, and then uniformly random ones, independent of each other.

    Args:
        key: for the draws; needed only where there is more than one order.
        repeats: how many orders.
        n: pixels.

    Raises:
        ValueError: if there is no order or no pixel, or several orders and no key.

    >>> pixel_orders(None, 1, 4).tolist()
    [[0, 1, 2, 3]]
    """
    check_at_least("repeats", repeats)
    check_at_least("number of pixels", n)
    first = jnp.arange(n, dtype=jnp.int32)[None]
    if repeats == 1:
        return first
    if key is None:
        raise ValueError(f"key is None; {repeats} orders, all but the first random, need one")
    drawn = jnp.argsort(jax.random.uniform(key, (repeats - 1, n)), axis=1)  # one sort of many rows instead of many
    return jnp.concatenate([first, drawn.astype(jnp.int32)])


def drawn_orders(draw: np.random.Generator, steps: int, repeats: int, n: int) -> Int[np.ndarray, "steps repeats n"]:
    """The same for many steps, on the host and outside of compiled loops: fresh orders at every step.

    Raises:
        ValueError: if a size is below 1.
    """
    for name, size in (("steps", steps), ("repeats", repeats), ("number of pixels", n)):
        check_at_least(name, size)
    orders = np.tile(np.arange(n, dtype=np.int32), (steps, repeats, 1))
    draw.permuted(orders[:, 1:], axis=2, out=orders[:, 1:])
    return orders


def virtual_images(
    colours: Float[Array, "n c"], orders: Int[Array, "repeats n"], patch: tuple[int, int], layout: Layout = "code"
) -> Float[Array, "images height width c"]:
    """The images that pixels make when they are laid out in every order, row by row.

    With h x w pixels and M orders, `"code"` is one image h x (w M): the orders are put behind each other *before* the rows are
    cut, so that a row holds w M consecutive pixels and no order has a square of its own. `"tiles"` is M images h x w.

    Args:
        colours: of the pixels.
        orders: permutations of them.
        patch: height h and width w; h w = n.
        layout: see above.

    Raises:
        ValueError: if the patch has another number of pixels, an order is not of their length, or the layout is unknown.

    >>> grey = jnp.arange(4.0)[:, None]
    >>> orders = jnp.array([[0, 1, 2, 3], [3, 2, 1, 0]])
    >>> virtual_images(grey, orders, (2, 2))[..., 0].tolist()
    [[[0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0]]]
    """
    check_patch(len(colours), patch)
    check_orders(orders, len(colours))
    sizes = _image_sizes(len(orders), patch, layout)
    return colours[orders.reshape(-1)].reshape(*sizes, colours.shape[1])


@cache
def window_places(
    repeats: int, patch: tuple[int, int], kernel: int = 4, stride: int = 4, layout: Layout = "code"
) -> Int[np.ndarray, "windows taps"]:
    """Which pixels each window covers, as places in the M orders put behind each other; M h w stands for a zero of the border.

    Images have a border of `(kernel - 1) // 2` zeros, so that windows of kernel 4 begin one pixel outside; there are
    `(n + 2 border - kernel) // stride + 1` of them along a side of n pixels.

    Returns:
        Read-only; windows image by image and row by row, the kernel x kernel taps of each row by row.

    Raises:
        ValueError: for a size below 1, a kernel larger than the patch, or an unknown layout.

    >>> window_places(1, (2, 2), kernel=2, stride=2).tolist()
    [[0, 1, 2, 3]]
    >>> window_places(1, (3, 3), kernel=3, stride=3).tolist()
    [[9, 9, 9, 9, 0, 1, 9, 3, 4]]
    """
    check_windows(repeats, patch, kernel, stride)
    sizes, border = _image_sizes(repeats, patch, layout), (kernel - 1) // 2
    total = int(np.prod(sizes))
    images = np.pad(np.arange(total).reshape(sizes), ((0, 0), (border, border), (border, border)), constant_values=total)
    windows = np.lib.stride_tricks.sliding_window_view(images, (kernel, kernel), (1, 2))[:, ::stride, ::stride]
    places = np.ascontiguousarray(windows.reshape(-1, kernel**2), np.int32)
    places.setflags(write=False)
    return places


def check_windows(repeats: int, patch: tuple[int, int], kernel: int, stride: int) -> None:
    """Raises a `ValueError` for a size below 1, or a kernel larger than the patch."""
    for name, size in (("repeats", repeats), ("kernel", kernel), ("stride", stride), ("patch", min(patch))):
        check_at_least(name, size)
    if kernel > min(patch):
        raise ValueError(f"kernel is {kernel}; it must fit into the patch {patch[0]} x {patch[1]}")


def check_patch(n: int, patch: tuple[int, int]) -> None:
    """Raises a `ValueError` unless n pixels fill a patch."""
    if n != patch[0] * patch[1] or min(patch) < 1:
        raise ValueError(f"there are {n} pixels; a patch of {patch[0]} x {patch[1]} needs {patch[0] * patch[1]}")


def check_orders(orders: Array | np.ndarray, n: int) -> None:
    """Raises a `ValueError` unless orders are `[repeats, n]` ids of n pixels."""
    if orders.ndim != 2 or orders.shape[1] != n or not len(orders):
        raise ValueError(f"perms has shape {orders.shape}; orders of {n} pixels are [repeats, {n}]")
    check_ids("perms", np.asarray(orders) if is_concrete(orders) else orders, n)  # NumPy looks at constants inside jit too


def _image_sizes(repeats: int, patch: tuple[int, int], layout: Layout) -> tuple[int, int, int]:
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; it must be one of {', '.join(LAYOUTS)}")
    return (1, patch[0], patch[1] * repeats) if layout == "code" else (repeats, *patch)
