"""Core-seconds of a fixed piece of work, compiling and multiplying: what a second is worth on this machine at this hour."""

import time

import jax
import jax.numpy as jnp
import numpy as np

PROGRAMS, PRODUCTS, SIZE = 8, 20, 1024


def measure() -> float:
    """Compile `PROGRAMS` programs and multiply matrices `PRODUCTS` times; core-seconds of this process for it."""
    jax.config.update("jax_enable_compilation_cache", False)
    start = time.process_time()
    for n in range(PROGRAMS):
        x = np.ones((8, 16 + n), np.float32)
        jax.block_until_ready(jax.jit(jax.grad(lambda x: jnp.sum(jax.nn.softmax(jnp.tanh(x @ x.T))[0] ** 2)))(x))
    matrix = np.full((SIZE, SIZE), 1e-3, np.float32)
    product = jax.jit(lambda x: x @ matrix)
    for _ in range(PRODUCTS):
        matrix_now = jax.block_until_ready(product(matrix))
    assert np.isfinite(matrix_now).all()
    return time.process_time() - start


if __name__ == "__main__":
    print(measure())
