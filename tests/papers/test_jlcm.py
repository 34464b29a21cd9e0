"""Codebooks and mappings: golden parity, grouping, the rules of the mapping, sizes, learning, presets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.quant.scalar_codebooks import kmeans_1d, kmeans_1d_exact
from quire.common.testing import assert_close
from quire.jlcm.assignment import nearest_assignment
from quire.jlcm.codebook_tensor import mapping_bits
from quire.jlcm.grouping import group_neurons, neuron_stats
from quire.jlcm.mapping import hard_map, map_codes, one_hot_penalty, soft_map

KEY = jax.random.key(0)
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float64, 1e-10), (jnp.float32, 1e-5)], ids=["float64", "float32"]
)


# --- Golden vectors ---


@PRECISIONS
def test_golden_kmeans(golden, dtype, tolerance):
    vectors = golden("jlcm")
    x = np.asarray(vectors["km_x"], dtype)
    sizes = [int(name.rsplit("_", 1)[1]) for name in vectors.arrays if name.startswith("km_centers_")]
    assert sizes
    for k in sizes:
        exact = kmeans_1d_exact(x, k)
        assert_close(exact.centres, vectors[f"km_centers_{k}"], tolerance)
        assert_close(exact.cost, vectors[f"km_cost_{k}"], tolerance)
        assert kmeans_1d(x, k).cost <= 1.02 * vectors[f"km_cost_{k}"]


@PRECISIONS
def test_golden_groups(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("jlcm")
        w = np.asarray(vectors["grp_W"], dtype)
        stats = neuron_stats(w)
        groups = group_neurons(stats, len(vectors["grp_centers"]))
        assert_close(stats, vectors["grp_log_absmax"], tolerance)
        assert_close(groups.centres, vectors["grp_centers"], tolerance)
        assert groups.labels.tolist() == vectors["grp_labels"].tolist()
        assert groups.perm.tolist() == vectors["grp_perm"].tolist()
        ordered, bits = w[groups.perm], int(np.log2(len(vectors["codebook_single"])))
        found = {v: nearest_assignment(ordered, bits, v, groups.sizes) for v in ("single", "scales", "codebooks")}
        assert_close(found["single"].codebooks[0], vectors["codebook_single"], tolerance)
        assert_close(found["scales"].scales, vectors["group_scales"], tolerance)
        assert_close(found["scales"].codebooks[0], vectors["codebook_scaled"], tolerance)
        assert_close(found["codebooks"].codebooks, vectors["codebooks_group"], tolerance)
        names = {"single": "single_codebook", "scales": "group_scales", "codebooks": "group_codebooks"}
        for variant, name in names.items():
            error = np.mean((ordered - np.asarray(found[variant].dequantize())) ** 2, dtype=float)
            assert_close(error, vectors[f"err_{name}"], tolerance)


@PRECISIONS
def test_golden_mapping(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("jlcm")
        logits, codebook, g = (jnp.asarray(vectors[f"map_{name}"], dtype) for name in ("logits", "codebook", "upstream"))
        assert_close(soft_map(logits, codebook), vectors["map_soft"], tolerance)
        assert_close(hard_map(logits, codebook), vectors["map_hard"], tolerance)

        def gradients(**options):
            return jax.grad(lambda i, c: jnp.sum(g * map_codes(i, c, **options)), (0, 1))(logits, codebook)

        by_logits, by_codebook = gradients(grad="default", forward="soft")
        assert_close(by_logits, vectors["map_grad_logits_default"], tolerance)
        assert_close(by_codebook, vectors["map_grad_codebook_soft"], tolerance)
        by_logits, by_codebook = gradients(grad="proximal", forward="hard")
        assert_close(by_logits, vectors["map_grad_logits_prox"], tolerance)
        assert_close(by_codebook, vectors["map_grad_codebook_hard"], tolerance)
        assert_close(1e-3 * (codebook.max() - codebook.min()), vectors["map_prox_eps"], tolerance)
        found = jnp.stack([one_hot_penalty(logits, beta) for beta in jnp.asarray(vectors["map_reg_beta"], dtype)])
        assert_close(found, vectors["map_onehot_reg"], tolerance)


def test_golden_sizes(golden):
    found = np.array([[mapping_bits(6.74e9, bits) for bits in (2, 3, 4)]])
    assert_close(found, golden("jlcm")["size_bits"], 1e-10)
