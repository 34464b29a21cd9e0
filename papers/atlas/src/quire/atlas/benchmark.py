"""What `quire bench atlas` times: the derivative by all coefficients from one backward pass, and a forward pass for each."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.atlas.composition import compose
from quire.atlas.paper import paper
from quire.common.bench import Benchmark, Case

DIM, BATCH = 256, 64


def loss(params: dict[str, Array], x: Float[Array, "n d"]) -> Float[Array, ""]:
    """Of a perceptron."""
    return jnp.mean((jnp.tanh(x @ params["w1"]) @ params["w2"]) ** 2)


def backward(base, tvs, coef, x):
    """`<dL/dtheta_j, tau_t,j>`: one pass through the network, and products."""
    return jax.grad(lambda coef: loss(compose(base, tvs, coef), x))(coef)


def forward(base, tvs, coef, x):
    """A pass through the network for every coefficient."""
    slope = lambda e: jax.jvp(lambda c: loss(compose(base, tvs, c), x), (coef,), (e,))[1]  # noqa: E731
    directions = jnp.eye(coef.size).reshape(coef.size, *coef.shape)
    return jax.lax.map(slope, directions).reshape(coef.shape)


def cases(count: int, key: jax.Array) -> dict[str, Case]:
    """T task vectors of two matrices: time of the first grows as T (slope 1 at most), of the second as its square."""
    keys = jax.random.split(key, 5)
    base = {name: 0.05 * jax.random.normal(k, (DIM, DIM)) for name, k in zip(("w1", "w2"), keys, strict=False)}
    tvs = {name: 0.01 * jax.random.normal(k, (count, DIM, DIM)) for name, k in zip(("w1", "w2"), keys[2:], strict=False)}
    args = base, tvs, jnp.full((count, 2), 0.1), jax.random.normal(keys[4], (BATCH, DIM))
    return {"one backward pass": Case(backward, args), "one forward derivative a coefficient": Case(forward, args)}


paper.benchmark = Benchmark("Derivative by the coefficients", size="task vectors T", sizes=(4, 8, 16, 32), cases=cases)
