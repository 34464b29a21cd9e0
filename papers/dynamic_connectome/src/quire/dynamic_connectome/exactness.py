"""C1: the compiled code against the definitions."""

from typing import Any, get_args

import jax
import numpy as np

from quire.common.random import generator
from quire.common.tensors.nonnegative import nonnegative_cp
from quire.common.testing import max_relative_error
from quire.dynamic_connectome.affinity import Kind, differential_affinity
from quire.dynamic_connectome.brute_force import reference_affinity, reference_hals, reference_length, reference_mu
from quire.dynamic_connectome.communities import weighted_sbm_dl
from quire.dynamic_connectome.generated import weighted_blocks

SWEEPS = 5


def errors(key: jax.Array, dtype: Any) -> dict[str, float]:
    """Largest relative error of affinities, sweeps and description lengths."""
    return affinity_errors(key, dtype) | factor_errors(key, dtype) | length_errors(key, dtype)


def affinity_errors(key: jax.Array, dtype: Any) -> dict[str, float]:
    """Both kinds, on random walks."""
    traces = np.cumsum(generator(key).normal(size=(5, 30)), axis=1)
    kinds: tuple[Kind, ...] = get_args(Kind)
    found = {kind: differential_affinity(traces.astype(dtype), 0.5, kind) for kind in kinds}
    return {f"affinity, {kind}": max_relative_error(a, reference_affinity(traces, 0.5, kind)) for kind, a in found.items()}


def factor_errors(key: jax.Array, dtype: Any) -> dict[str, float]:
    """Factors after a few sweeps, from the same start."""
    draw = generator(key)
    shape, rank = (12, 4, 10), 3
    x, start = draw.uniform(size=shape), [draw.uniform(size=(size, rank)) for size in shape]
    mask = np.broadcast_to(draw.uniform(size=shape[1:]) < 0.8, shape)
    cases = {
        "HALS": (nonnegative_cp(*_cast(x, start, dtype), SWEEPS)[0], reference_hals(x, start, SWEEPS)),
        "masked MU": (
            nonnegative_cp(*_cast(x, start, dtype), SWEEPS, method="mu", mask=mask)[0],
            reference_mu(x, start, SWEEPS, mask),
        ),
    }
    return {name: float(np.max(list(map(max_relative_error, *pair)))) for name, pair in cases.items()}  # NaN if one is


def _cast(x, start, dtype):
    return x.astype(dtype), [factor.astype(dtype) for factor in start]


def length_errors(key: jax.Array, dtype: Any) -> dict[str, float]:
    """Every term of both degree models, over the total."""
    w, labels = weighted_blocks(key, 18, 3)
    labels = np.unique(labels, return_inverse=True)[1].reshape(-1)
    found = {}
    for model, deg_corr in (("", False), (", degrees", True)):
        terms = weighted_sbm_dl((w > 0).astype(dtype), w.astype(dtype), labels, deg_corr)
        expected = reference_length(w, labels, deg_corr)
        worst = float(np.max([abs(terms[name] - value) for name, value in expected.items()]))
        found[f"description length{model}"] = worst / sum(expected.values())
    return found
