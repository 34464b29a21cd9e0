"""Wave CNN: golden vectors, one-way kernels and layers, finite elements, compression, networks, errors, presets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.pde.newmark import Boundary
from quire.common.testing import assert_close
from quire.wave_cnn.compression import best_errors, singular_values, svd_compress
from quire.wave_cnn.exactness import mode_eigenvalue
from quire.wave_cnn.one_way_conv import per_kernel_conv, shared_conv
from quire.wave_cnn.one_way_kernels import cp_kernel, shared_kernel
from quire.wave_cnn.wave_fe import WaveFE

KEY = jax.random.key(0)
PRECISIONS = pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)], ids=["f64", "f32"])


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("wave_cnn")


# --- Golden vectors ---


def last(x):
    """Channels last."""
    return np.moveaxis(x, 1, -1)


def kernel_last(kernel):
    """`[out, in, *size]` as `[*size, in, out]`."""
    return np.moveaxis(kernel, (0, 1), (-1, -2))


@PRECISIONS
def test_golden_convolutions(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == np.float64):
        three = [vectors[f"c3_{name}"].astype(dtype) for name in "abc"]
        two = [vectors[f"c2_{name}"].astype(dtype) for name in "ab"]
        shared = [vectors[f"sh_{name}"].astype(dtype) for name in "uvw"]
        x3, x2, bias = (vectors[name].astype(dtype) for name in ("c3_x", "c2_x", "c3_bias"))
        assert_close(cp_kernel(three), kernel_last(vectors["c3_dense_kernel"]), tolerance)
        assert_close(cp_kernel(two), kernel_last(vectors["c2_dense_kernel"]), tolerance)
        assert_close(shared_kernel(shared), kernel_last(vectors["sh_dense_kernel"]), tolerance)
        for evaluate in ("dense", "sequential"):
            for padding in ("same", "valid"):
                found = per_kernel_conv(last(x3), three, padding=padding.upper(), evaluate=evaluate)
                assert_close(found + bias.reshape(1, 1, 1, 1, -1), last(vectors[f"c3_y_{padding}"]), tolerance)
            assert_close(per_kernel_conv(last(x2), two, evaluate=evaluate), last(vectors["c2_y_same"]), tolerance)
        assert_close(shared_conv(last(x3), shared), last(vectors["sh_y_same"]), tolerance)


@PRECISIONS
def test_golden_singular_values(vectors, dtype, tolerance):
    kernels = kernel_last(vectors["svd_kernels"].astype(dtype))
    assert_close(singular_values(kernels), vectors["svd_singular_values"], tolerance)
    ranks = [int(name[len("svd_rank") : -len("_error")]) for name in vectors.arrays if name.startswith("svd_rank")]
    for rank in ranks:
        wanted = vectors[f"svd_rank{rank}_error"]
        assert_close(best_errors(kernels, rank), wanted, tolerance)
        with jax.enable_x64(dtype == np.float64):
            left = np.asarray(cp_kernel(svd_compress(kernels, rank))) - kernels
        assert_close(np.linalg.norm(left, axis=(0, 1)).T, wanted, tolerance)


def grid_of(vectors, c=1.0, bc="neumann"):
    nx, ny, lx, ly = vectors["fe_grid"]
    return WaveFE(int(nx), int(ny), float(lx), float(ly), c, bc)


@PRECISIONS
def test_golden_matrices(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == np.float64):
        fe = grid_of(vectors)
        assert_close(fe.nodes(), vectors["fe_nodes"], 1e-12)
        assert_close((fe.mass(), fe.stiffness()), (vectors["fe_mass"], vectors["fe_stiff"]), tolerance)
        smooth = grid_of(vectors, lambda x: 1 + 0.3 * jnp.sin(x[:, 0]) * x[:, 1])
        assert_close(smooth.stiffness(), vectors["fe_stiff_varc_g4"], tolerance)
        single = WaveFE(1, 1, *fe.spacing)
        assert_close((single.mass(), single.stiffness()), (vectors["fe_elem_mass"], vectors["fe_elem_stiff"]), tolerance)


@PRECISIONS
@pytest.mark.parametrize("dense", [False, True])
def test_golden_newmark(vectors, dtype, tolerance, dense):
    """All edges held, by fast diagonalisation and by a dense factor."""
    with jax.enable_x64(dtype == np.float64):
        c, u0, dt = float(vectors["nm_c"]), vectors["nm_u0"].astype(dtype), float(vectors["nm_dt"])
        fe = grid_of(vectors, c, "dirichlet")
        assert np.setdiff1d(np.arange(len(u0)), fe.edge_nodes()).tolist() == vectors["nm_interior"].tolist()
        solver = grid_of(vectors, lambda x: jnp.full(len(x), c, x.dtype), "dirichlet") if dense else fe
        motion = solver.newmark(u0, np.zeros_like(u0), dt, len(vectors["nm_hist"]) - 1)
        loose = tolerance if dtype == np.float64 else 1e-4
        assert_close(motion.displacement, vectors["nm_hist"], loose)
        assert_close(fe.energy(*motion), vectors["nm_energy"], loose)


@PRECISIONS
def test_golden_driven_edge(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == np.float64):
        fe, g = grid_of(vectors), vectors["bd_g"].astype(dtype)
        nodes, edge = fe.nodes(), fe.edge_nodes()
        y = nodes[edge, 1]
        moving = (nodes[edge, 0] == 0) & (y > y.min()) & (y < y.max())
        rest = np.zeros(len(nodes), dtype)
        motion = fe.newmark(rest, rest, float(vectors["nm_dt"]), len(g) - 1, Boundary(edge, g[:, None] * moving))
        assert_close(motion.displacement, vectors["bd_hist"], tolerance if dtype == np.float64 else 1e-4)


def test_golden_frequencies(vectors):
    fe = grid_of(vectors)
    squares = []
    for n, h in zip((fe.nx, fe.ny), fe.spacing, strict=True):
        t = np.pi / n
        squares.append(6 * (2 - 2 * np.cos(t)) / (h**2 * (4 + 2 * np.cos(t))))
    basis = grid_of(vectors, bc="dirichlet").diagonalisation()
    np.testing.assert_allclose(np.sqrt(basis.eigenvalues[0, 0]), vectors["eig11_discrete"], rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(sum(squares)), vectors["eig11_discrete"], rtol=1e-12)
    np.testing.assert_allclose(np.pi * np.hypot(1 / fe.lx, 1 / fe.ly), vectors["eig11_exact"], rtol=1e-12)
    assert mode_eigenvalue(8) > 2 * np.pi**2
