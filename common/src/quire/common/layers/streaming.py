"""Softmax attention over tuples of memory tokens, dense and streamed in O(tile) memory.

A query attends to every tuple `(j_1, ..., j_m)` that takes one token from each of `m` memories. Ordinary attention is `m = 1`;
tensor attention (Alman & Song 2023, arXiv 2310.04064) is any larger `m`. Both share the two contractions of this module:

    score_{i, j_1..j_m} = scale * sum_t Q_it K1_{j_1 t} ... Km_{j_m t}         (`tuple_scores`)
    out_ic              = sum_{j_1..j_m} P_{i, j_1..j_m} V1_{j_1 c} ... Vm_{j_m c}   (`tuple_values`)
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, ScalarLike

from quire.common.layers.softmax import masked_softmax
from quire.common.tensors.multilinear import khatri_rao

Block = int | Literal["auto", "tiles"] | None
"""A tile length; tiles of default lengths; no tiles; or tiles where they are faster."""

TILE_ELEMENTS = 2**18
"""Scores held at once by the streamed form: 1 MB in float32, about the level-2 cache of a CPU core."""

TILE_COLUMNS = 256
"""Most tuples in a tile: the products of the backward pass read tiles along both axes, and slow down beyond it."""

DENSE_ELEMENTS = {"one": 2**18, "all": 2**22}
"""Scores of one problem and of a whole batch from which dense attention loses on a CPU: 1 MB and 16 MB in float32."""

DENSE_ELEMENTS_ON_DEVICE = 2**28
"""Scores of a batch that other devices hold at once: 1 GB in float32."""


def dense_loses(scores: int, problems: int) -> bool:
    """Whether attention should stream by default.

    Args:
        scores: `n n_1 ... n_m`, scores of one problem.
        problems: how many of them, batch and heads together.

    >>> dense_loses(64 * 64, 8), dense_loses(8192 * 8192, 8)
    (False, True)
    """
    if jax.default_backend() != "cpu":
        return scores * problems >= DENSE_ELEMENTS_ON_DEVICE
    return scores >= DENSE_ELEMENTS["one"] or scores * problems >= DENSE_ELEMENTS["all"]


def tuple_scores(q: Float[Array, "n d"], ks: Sequence[Float[Array, "_ d"]], scale: ScalarLike) -> Float[Array, "n tuples"]:
    """Scores of every query with every tuple, `scale * sum_t Q_it prod_l K_l[j_l, t]`: `scale * Q (K1 (o) ... (o) Km)^T`.

    Args:
        q: queries `[n, d]`.
        ks: the keys of each memory, `[n_l, d]`.
        scale: factor on the scores.

    Returns:
        `[n, n_1 * ... * n_m]`, the last memory's index fastest.
    """
    return (q * scale) @ khatri_rao(ks).T


def tuple_values(weights: Float[Array, "n tuples"], vs: Sequence[Float[Array, "_ c"]]) -> Float[Array, "n c"]:
    """Weighted sum of the elementwise products of values, `sum_{j} W_{i,j} prod_l V_l[j_l, c]`: `W (V1 (o) ... (o) Vm)`.

    Args:
        weights: `[n, n_1 * ... * n_m]`.
        vs: the values of each memory, `[n_l, c]`.

    Returns:
        `[n, c]`.
    """
    return weights @ khatri_rao(vs)


def allowed_tuples(
    masks: Sequence[Bool[Array, "_ _"]] | None, causal: bool, rows: Array, columns: Sequence[Array]
) -> Bool[Array, "n tuples"] | None:
    """Which tuples each query may attend to: every `j_l` passes its memory's mask and, if `causal`, `j_l <= i`.

    Args:
        masks: per memory, `[n or 1, n_l]`, True where attention is allowed; None for no restriction.
        causal: also require `j_l <= i` for every `l`.
        rows, columns: absolute positions of the queries and of each memory's tokens.

    Returns:
        Boolean `[n or 1, n_1 * ... * n_m]`, or None when everything is allowed.
    """
    if masks is None and not causal:
        return None
    allowed = jnp.ones((1, 1), bool)
    for memory, position in enumerate(columns):
        one = jnp.ones((1, position.size), bool) if masks is None else masks[memory]
        if causal:
            one = one & (position[None] <= rows[:, None])
        allowed = (allowed[:, :, None] & one[:, None]).reshape(max(allowed.shape[0], one.shape[0]), -1)
    return allowed


def dense_softmax_attention(q, ks, vs, scale, masks=None, causal=False):
    """Output `[n, c]`, holding every score at once. Rows that attend to nothing give zeros."""
    scores = tuple_scores(q, ks, scale)
    allowed = allowed_tuples(masks, causal, jnp.arange(q.shape[0]), [jnp.arange(k.shape[0]) for k in ks])
    if allowed is None:
        weights = jax.nn.softmax(scores, axis=1)
    else:
        weights = masked_softmax(scores, jnp.broadcast_to(allowed, scores.shape))
    return tuple_values(weights, vs)


def default_tiles(n: int, sizes: Sequence[int], block: int | None = None) -> tuple[int, ...]:
    """Tile lengths (queries, memory 1, ..., memory m) whose score tile holds about `TILE_ELEMENTS` numbers.

    A tile has up to `TILE_COLUMNS` tuples, whole runs of the last memory first, and as many queries as then fit. Every tile
    length is evened out so that the padding of the last tile stays small.
    """
    if block is not None:
        wanted = [block] * (len(sizes) + 1)
    else:
        wanted, columns = [], TILE_COLUMNS
        for size in reversed(sizes):
            wanted.insert(0, min(size, columns))
            columns //= wanted[0]
        wanted.insert(0, TILE_ELEMENTS // math.prod(wanted))
    return tuple(math.ceil(size / math.ceil(size / tile)) for size, tile in zip((n, *sizes), wanted, strict=True))


def chosen_tiles(block: Block, n: int, sizes: Sequence[int], problems: int) -> tuple[int, ...] | None:
    """Tile lengths of attention that streams, None where it is dense.

    Args:
        block: what the caller wants.
        n, sizes: numbers of queries and of the tokens of each memory.
        problems: batch and heads together.

    Raises:
        ValueError: for a length that is not positive, or another word.
    """
    if block not in (None, "auto", "tiles") and (isinstance(block, str) or block < 1):
        raise ValueError(f"block is {block}; it must be None, 'auto', 'tiles' or a positive tile length")
    if block is None or not all((n, *sizes)) or (block == "auto" and not dense_loses(n * math.prod(sizes), problems)):
        return None
    return default_tiles(n, sizes, None if isinstance(block, str) else block)


def _into_tiles(x: Array, tile: int, axis: int = 0) -> Array:
    """Zero-pad `axis` to a multiple of `tile` and split it: `[..., n, ...] -> [n / tile, ..., tile, ...]`."""
    count = -(-x.shape[axis] // tile)
    padding = [(0, 0)] * x.ndim
    padding[axis] = (0, count * tile - x.shape[axis])
    x = jnp.pad(x, padding)
    return jnp.moveaxis(x.reshape((*x.shape[:axis], count, tile, *x.shape[axis + 1 :])), axis, 0)


def _tuple_index(flat: Array, counts: Sequence[int]) -> list[Array]:
    index = []
    for count in reversed(counts):
        index.insert(0, flat % count)
        flat = flat // count
    return index


def _tiled(q, ks, vs, masks, tiles):
    """Everything cut into tiles: queries, keys, values, and per memory a mask (queries, memory) that also blanks the padding."""
    padded = masks is not None or any(k.shape[0] % tile for k, tile in zip(ks, tiles[1:], strict=True))
    if padded:
        masks = masks or [jnp.ones((1, k.shape[0]), bool) for k in ks]
        masks = [_into_tiles(mask, tile, axis=1) for mask, tile in zip(masks, tiles[1:], strict=True)]
        masks = [_into_tiles(m, tiles[0], axis=1) if m.shape[1] > 1 else m[None] for m in masks]
    return (
        _into_tiles(q, tiles[0]),
        [_into_tiles(k, tile) for k, tile in zip(ks, tiles[1:], strict=True)],
        [_into_tiles(v, tile) for v, tile in zip(vs, tiles[1:], strict=True)],
        masks if padded else None,
    )


def _tile_scores(q, ks, masks, causal, query_tile, index, tiles):
    """Scores of one tile, minus infinity where attention is not allowed."""
    scores = tuple_scores(q, ks, 1.0)
    # mask tiles: [query tiles or 1, memory tiles, queries or 1, memory]
    mask = None if masks is None else [m[query_tile if m.shape[0] > 1 else 0, j] for m, j in zip(masks, index, strict=True)]
    rows = query_tile * tiles[0] + jnp.arange(tiles[0])
    columns = [j * tile + jnp.arange(tile) for j, tile in zip(index, tiles[1:], strict=True)]
    allowed = allowed_tuples(mask, causal, rows, columns)
    return scores if allowed is None else jnp.where(allowed, scores, -jnp.inf)


def stream_batch(function: Callable[..., Array], args: Any, batch: Sequence[int], tiles: Sequence[int]) -> Array:
    """`function(*args)` for every problem of a batch; on a CPU as many at a time as together fill one tile of scores.

    Args:
        function: of one problem.
        args: pytree of arrays `[*batch, ...]`.
        batch: leading axes; no problem at all is the caller's case.
        tiles: tile lengths of one problem.

    Returns:
        `[*batch, ...]`.
    """
    count = math.prod(batch)
    args = jax.tree.map(lambda x: x.reshape((count, *x.shape[len(batch) :])), args)
    together = max(1, TILE_ELEMENTS // math.prod(tiles)) if jax.default_backend() == "cpu" else count
    steps = -(-count // together)
    if count == 1:  # a batch axis of length one costs a transposition of every tile
        out = function(*jax.tree.map(lambda x: x[0], args))[None]
    elif steps == 1:
        out = jax.vmap(function)(*args)
    elif together == 1:
        out = lax.map(lambda each: function(*each), args)
    else:
        groups = jax.tree.map(lambda x: _into_tiles(x, -(-count // steps)), args)
        out = lax.map(lambda group: jax.vmap(function)(*group), groups)
        out = out.reshape((-1, *out.shape[2:]))[:count]
    return out.reshape((*batch, *out.shape[1:]))


def streaming_softmax_attention(q, ks, vs, scale, masks, causal, tiles):
    """Softmax attention over tuples by an online softmax: the output of `dense_softmax_attention` in O(tile) memory.

    Each query tile keeps a running maximum, denominator and accumulator (Milakov & Gimelshein 2018) while it passes over the
    tiles of the tuple grid. The backward pass recomputes the tiles, so no score outlives its tile there either.

    Args:
        q, ks, vs: queries `[n, d]`, keys `[n_l, d]` and values `[n_l, c]` of each memory.
        scale: factor on the scores; may be traced, and has a derivative.
        masks: per memory `[n or 1, n_l]` booleans, or None.
        causal: attend only to tuples with every `j_l <= i`.
        tiles: tile lengths `(queries, memory 1, ..., memory m)`.

    Returns:
        `[n, c]`.
    """
    return _streamed(q * scale, ks, vs, masks, causal, tiles)


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _streamed(q, ks, vs, masks, causal, tiles):
    return _forward(q, ks, vs, masks, causal, tiles)[0]


def _forward(q, ks, vs, masks, causal, tiles):
    q_tiles, k_tiles, v_tiles, mask_tiles = _tiled(q, ks, vs, masks, tiles)
    counts = [k.shape[0] for k in k_tiles]

    def query_tile(args):
        i, q_tile = args

        def step(carry, flat):
            top, total, acc = carry
            index = _tuple_index(flat, counts)
            k = [tile[j] for tile, j in zip(k_tiles, index, strict=True)]
            v = [tile[j] for tile, j in zip(v_tiles, index, strict=True)]
            scores = _tile_scores(q_tile, k, mask_tiles, causal, i, index, tiles)
            new_top = jnp.maximum(top, scores.max(1))
            shift = jnp.where(jnp.isfinite(new_top), new_top, 0)  # a row that has seen nothing yet has top = -inf
            weights = jnp.exp(scores - shift[:, None])
            decay = jnp.exp(top - shift)
            return (new_top, decay * total + weights.sum(1), decay[:, None] * acc + tuple_values(weights, v)), None

        rows = q_tile.shape[0]
        start = (jnp.full(rows, -jnp.inf, q.dtype), jnp.zeros(rows, q.dtype), jnp.zeros((rows, vs[0].shape[1]), q.dtype))
        (top, total, acc), _ = lax.scan(step, start, jnp.arange(math.prod(counts)))
        safe = jnp.where(total > 0, total, 1)
        return acc / safe[:, None], jnp.where(total > 0, top + jnp.log(safe), jnp.inf)

    out, log_total = lax.map(query_tile, (jnp.arange(q_tiles.shape[0]), q_tiles))
    n = q.shape[0]
    return out.reshape(-1, out.shape[-1])[:n], log_total.reshape(-1)[:n]


def _forward_rule(q, ks, vs, masks, causal, tiles):
    out, log_total = _forward(q, ks, vs, masks, causal, tiles)
    return out, (q, ks, vs, masks, out, log_total)


def _backward_rule(causal, tiles, saved, grad_out):
    q, ks, vs, masks, out, log_total = saved
    q_tiles, k_tiles, v_tiles, mask_tiles = _tiled(q, ks, vs, masks, tiles)
    counts = [k.shape[0] for k in k_tiles]
    per_query = [_into_tiles(x, tiles[0]) for x in (grad_out, jnp.sum(grad_out * out, axis=1), log_total)]
    tile_gradient = jax.grad(partial(_tile_loss, mask_tiles, causal, tiles), argnums=(0, 1, 2))

    def query_tile(grads, args):
        i, q_tile, *of_query = args

        def step(carry, flat):
            grad_q, grad_k, grad_v = carry
            index = _tuple_index(flat, counts)
            k = [tile[j] for tile, j in zip(k_tiles, index, strict=True)]
            v = [tile[j] for tile, j in zip(v_tiles, index, strict=True)]
            dq, dk, dv = tile_gradient(q_tile, k, v, *of_query, i, index)
            grad_k = [total.at[j].add(one) for total, j, one in zip(grad_k, index, dk, strict=True)]
            grad_v = [total.at[j].add(one) for total, j, one in zip(grad_v, index, dv, strict=True)]
            return (grad_q + dq, grad_k, grad_v), None

        (grad_q, *grads), _ = lax.scan(step, (jnp.zeros_like(q_tile), *grads), jnp.arange(math.prod(counts)))
        return grads, grad_q

    start = [[jnp.zeros_like(k) for k in k_tiles], [jnp.zeros_like(v) for v in v_tiles]]
    (grad_k, grad_v), grad_q = lax.scan(query_tile, start, (jnp.arange(q_tiles.shape[0]), q_tiles, *per_query))
    grad_k = [_rows(g, k) for g, k in zip(grad_k, ks, strict=True)]
    grad_v = [_rows(g, v) for g, v in zip(grad_v, vs, strict=True)]
    return _rows(grad_q, q), grad_k, grad_v, None


def _tile_loss(mask_tiles, causal, tiles, q_tile, k, v, grad_out, delta, log_total, i, index):
    """A sum over one tile with the gradient of `<grad_out, out>`, `log_total` and `delta = <grad_out, out>` held fixed.

    The softmax rule `dS = P (grad_out V - delta)` comes out of the exponential, `dV = P grad_out` out of the second factor.
    """
    scores = _tile_scores(q_tile, k, mask_tiles, causal, i, index, tiles)
    weights = jnp.exp(scores - log_total[:, None])
    return jnp.sum(weights * (tuple_scores(grad_out, v, 1.0) - delta[:, None]))


def _rows(tiled: Array, like: Array) -> Array:
    """Tiles joined again, without the padding."""
    return tiled.reshape(-1, like.shape[1])[: like.shape[0]]


_streamed.defvjp(_forward_rule, _backward_rule)
