"""Coding rates of tokens: against definitions in float64, for repeated, tiny and zero tokens; one layer in theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.layers.crate import (
    ISTA,
    coding_rate,
    coding_rate_subspaces,
    coding_rate_subspaces_grad,
    coding_rate_subspaces_grad_neumann,
    ista_step,
    lasso_objective,
    mssa,
    mssa_step,
    projection_rate,
    sparse_rate_reduction,
)
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_matches_float64

RNG = np.random.default_rng(0)
Z = RNG.standard_normal((4, 3)).astype(np.float32)
U = RNG.standard_normal((2, 3, 2)).astype(np.float32)
D = (0.3 * RNG.standard_normal((3, 3))).astype(np.float32)
REPEATED = np.stack([Z[0], Z[0], Z[0] * 2, Z[1]])

RATES = {
    "coding_rate": lambda Z: coding_rate(Z, 0.01),
    "coding_rate_subspaces": lambda Z: coding_rate_subspaces(Z, U, 0.01),
    "sparse_rate_reduction": lambda Z: sparse_rate_reduction(Z, U, 0.1, 0.1),
    "projection_rate": lambda Z: projection_rate(Z[None]),
}
STEPS = {
    "exact gradient": lambda Z: coding_rate_subspaces_grad(Z, U, 0.1),
    "Neumann gradient": lambda Z: coding_rate_subspaces_grad_neumann(Z, U, 1.0),
    "mssa": lambda Z: mssa(Z, U, 1.0),
    "mssa_step": lambda Z: mssa_step(Z, U, 1.0, 0.1),
    "lasso_objective": lambda Z: lasso_objective(Z, Z[..., ::-1], D, 0.1),
    "ista_step": lambda Z: ista_step(Z, D, 0.1, 0.1),
}


@pytest.mark.parametrize("name", RATES | STEPS)
def test_edges(name):
    function = (RATES | STEPS)[name]
    assert_degenerate(function, Z)
    assert_dtypes(function, Z, dtypes=["uint8", "bfloat16"], tolerance=1e-4)
    assert_matches_float64(function, Z)


@pytest.mark.parametrize("name", RATES)
def test_rates_of_repeated_tokens_and_fine_precision(name):
    assert_matches_float64(RATES[name], REPEATED)


def test_fine_precision_in_float32():
    assert_matches_float64(lambda Z: coding_rate(Z, 1e-5), REPEATED, differentiable=False)
    assert_matches_float64(lambda Z: coding_rate_subspaces_grad(Z, U, 1e-3), Z)


def test_rates_are_log_determinants():
    with jax.enable_x64():
        z, u = Z.astype(float), U.astype(float)
        dense = 0.5 * np.linalg.slogdet(np.eye(4) + 3 / (4 * 0.1**2) * z @ z.T)[1]
        assert_close(coding_rate(jnp.asarray(z), 0.1), dense, 1e-12)
        exact = jax.grad(lambda z: coding_rate_subspaces(z, jnp.asarray(u), 0.1))(jnp.asarray(z))
        assert_close(coding_rate_subspaces_grad(jnp.asarray(z), jnp.asarray(u), 0.1), exact, 1e-10)


def test_projection_rate_knows_no_scale():
    tokens = jnp.asarray(np.stack([Z, Z])[None])
    rate = projection_rate(tokens)
    assert_close(projection_rate(tokens * 1e-30), rate, 1e-5)
    assert_close(projection_rate(tokens * 1e30), rate, 1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coding_rate(Z, 0.0), "eps is 0.0; it must be positive"),
        (lambda: coding_rate(Z[:0], 0.1), "at least one token"),
        (lambda: coding_rate_subspaces(Z, U[:, :2], 0.1), "U has shape \\(2, 2, 2\\)"),
        (lambda: lasso_objective(Z, Z[:1], D, 0.1), "Z, target and D have shapes"),
        (lambda: ista_step(Z, D[:2], 0.1, 0.1), "Z, start and D have shapes"),
        (lambda: ISTA(0, rngs=None), "dim is 0"),
    ],
)
def test_wrong_arguments(as_installed, call, message):
    with pytest.raises(ValueError, match=message):
        call()
