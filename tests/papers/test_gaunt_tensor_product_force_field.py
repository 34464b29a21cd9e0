"""Gaunt tensor product: many-body products, force field, claims."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.equivariant.neighbours import edge_vectors, neighbour_list
from quire.common.equivariant.rotations import random_rotation, wigner_d
from quire.common.testing import (
    assert_close,
    assert_equivariant,
    assert_gradients,
)
from quire.gaunt_tensor_product.benchmark import cases
from quire.gaunt_tensor_product.clusters import cluster_energy, generate_clusters
from quire.gaunt_tensor_product.config import PRESETS
from quire.gaunt_tensor_product.mace import MACE, MACEConfig, edges_with_slopes, energy_and_forces, energy_and_forces_of_edges
from quire.gaunt_tensor_product.many_body import (
    ManyBody,
    SymmetricContraction,
    gaunt_power,
    symmetric_couplings,
    symmetric_monomials,
)
from quire.gaunt_tensor_product.training import Training, fitted_config, force_errors, predict, prepare, train_force_field


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


# --- Many-body products and the force field ---


def test_symmetric_contraction_has_maces_paths():
    assert [symmetric_couplings(2, nu, 0).shape[1] for nu in (1, 2, 3)] == [1, 3, 5]
    with jax.enable_x64():
        D = wigner_d(2, random_rotation(jax.random.key(0)))
        one_hot = jnp.eye(3)[jnp.array([0, 2])]
        x = normal(1, 2, 4, 9)
        for block in (
            SymmetricContraction(3, 2, 1, 3, 4, rngs=nnx.Rngs(0)),
            ManyBody(3, 2, 1, 3, 4, weigh_inputs=True, rngs=nnx.Rngs(0)),
        ):
            assert_equivariant(
                lambda x, block=block: block(x, one_hot),
                x,
                elements=[D],
                act_in=lambda g, x: x @ g.T,
                act_out=lambda g, y: y @ g[:4, :4].T,
                tolerance=1e-12,
            )


@pytest.mark.parametrize("weigh_inputs", [False, True])
def test_many_body_scalars_are_those_of_the_grid(weigh_inputs):
    """Without a last factor on the grid the scalars are those of a block that computes vectors too."""
    rng = np.random.default_rng(0)
    x, one_hot = rng.standard_normal((5, 3, 9)), np.eye(2)[[0, 1, 1, 0, 1]]
    with jax.enable_x64():
        both, scalars = (ManyBody(3, 2, l, 2, 3, weigh_inputs=weigh_inputs, rngs=nnx.Rngs(0)) for l in (1, 0))
        scalars.weights[...] = both.weights[..., :1]
        if weigh_inputs:
            scalars.input_weights[...] = both.input_weights[...]
        assert_close(jax.jit(scalars)(x, one_hot), jax.jit(both)(x, one_hot)[..., :1], 1e-12)


def test_gaunt_powers_lie_in_the_span_of_the_paths():
    x = np.random.default_rng(0).standard_normal((40, 9))
    values = np.prod(x[:, symmetric_monomials(9, 3)], axis=-1) @ symmetric_couplings(2, 3, 0)[:, :, 0]
    with jax.enable_x64():
        power = np.asarray(gaunt_power(jnp.asarray(x), 3, 0))
    residual = np.linalg.lstsq(values, power, rcond=None)[1]
    assert residual[0] < 1e-20


SMALL = dict(channels=4, lmax_edge=2, lmax_hidden=1, cutoff=3.0, num_bessel=4, radial_widths=(8,), mean_neighbours=4.0)


@pytest.mark.parametrize("tp", ["gaunt", "cg"])
def test_force_field(tp):
    with jax.enable_x64():
        model = MACE(MACEConfig(2, tp=tp, **SMALL), rngs=nnx.Rngs(0))
        x, species = 1.2 * normal(0, 5, 3), jnp.array([0, 1, 1, 0, 1], jnp.int32)

        @jax.jit
        def evaluate(x, species):
            return energy_and_forces(model, species, x, neighbour_list(x, 3.0, len(x) - 1, species >= 0))

        energy, forces = evaluate(x, species)
        assert_close(forces.sum(0) + 1, jnp.ones(3), 1e-10)
        shift = jnp.zeros_like(x).at[1, 2].set(1e-5)
        difference = (evaluate(x - shift, species)[0] - evaluate(x + shift, species)[0]) / 2e-5
        assert abs(float(difference - forces[1, 2])) < 1e-6 * float(jnp.abs(forces).max())
        order = jnp.array([3, 0, 4, 1, 2])
        assert_close(evaluate(x[order], species[order])[1], forces[order], 1e-10)
        R = random_rotation(jax.random.key(3))
        for g in (R, -R):
            assert_close(evaluate(x @ g.T, species)[1], forces @ g.T, 1e-10)
        padded = evaluate(jnp.concatenate([x, jnp.zeros((1, 3))]), jnp.concatenate([species, jnp.array([-1], jnp.int32)]))
        assert_close(padded[0], energy, 1e-12)
        assert_close(padded[1][:-1], forces, 1e-10)
        near = neighbour_list(x, 3.0, len(x) - 1)
        edges, slopes = edges_with_slopes(model.config, edge_vectors(x, near))
        known = energy_and_forces_of_edges(model, species, edges, slopes, near)  # as in training
        assert_close(known[0], energy, 1e-12)
        assert_close(known[1], forces, 1e-10)


def test_frames_that_a_force_field_cannot_read(as_installed):
    """Another element and neighbours that were left out are errors; where they are traced, energy and forces are NaN."""
    model = MACE(MACEConfig(2, **(SMALL | {"num_layers": 1})), rngs=nnx.Rngs(0))
    x, species = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3)), jnp.float32), jnp.array([0, 1, 1, -1], jnp.int32)
    near, short = (neighbour_list(x, 9.0, capacity, species >= 0) for capacity in (2, 1))

    def trace(species, near):  # by shapes alone, with species and neighbours known
        return jax.eval_shape(lambda x: energy_and_forces(model, species, x, near), x)

    for bad, message in ((2, "species runs from 1 to 2"), (-2, "species runs from -2 to 1")):
        with pytest.raises(ValueError, match=message):
            trace(jnp.array([bad, 1, 1, 1], jnp.int32), near)
    with pytest.raises(ValueError, match="species has dtype float32"):
        trace(jnp.ones(4), near)
    with pytest.raises(ValueError, match="neighbours overflow by 3"):
        trace(species, short)
    traced = jax.jit(lambda species, near: energy_and_forces(model, species, x, near))
    with jax.debug_nans(False):
        known = jax.jit(lambda x: energy_and_forces(model, species, x, near)[1])(x)
        assert_close(traced(species, near)[1], known, 1e-5)
        for energy, forces in (
            traced(species.at[0].set(2), near),
            traced(species, near._replace(overflow=short.overflow)),
        ):
            assert bool(jnp.isnan(energy)) and bool(jnp.isnan(forces[:3]).any())


def test_clusters_have_exact_forces():
    frames = generate_clusters(1, 3, 4)
    with jax.enable_x64():
        assert_gradients(lambda x: cluster_energy(x, frames.species[0]), frames.positions[0], tolerance=1e-4)
        assert_close(-jax.grad(cluster_energy)(jnp.asarray(frames.positions[0]), frames.species[0]), frames.forces[0], 1e-10)


def test_training_lowers_the_loss_and_keeps_its_average():
    frames = generate_clusters(0, 12, 4)
    config = replace(fitted_config(MACEConfig(2, **(SMALL | {"num_layers": 1})), frames), channels=4)
    ready = prepare(config, frames, float(frames.interaction_energy.mean()))
    graph, state, losses = train_force_field(config, Training(40, 4, 2e-2), ready, jax.random.split(jax.random.key(0), 2))
    assert losses.shape == (2, 40)
    assert float(losses[:, -5:].mean()) < 0.7 * float(losses[:, :5].mean())
    force, _, predicted = force_errors(graph, state, ready)
    assert force.shape == (2,)
    for seed in range(2):  # side by side the seeds do what each of them does alone
        model = nnx.merge(graph, jax.tree.map(lambda x, seed=seed: x[seed], state))
        assert_close(predicted[seed], predict(model, ready)[1], 1e-4)


@pytest.mark.parametrize(("name", "tp"), [("standard", "gaunt"), ("paper", "gaunt"), ("paper", "cg")])
def test_force_fields_of_larger_presets_fit_together(name, tp):
    """Traced, not run: energies and forces at the sizes of the paper."""
    config = replace(PRESETS[name].molecule.model, tp=tp)
    frames = prepare(config, generate_clusters(0, 2, 5), 0.0)
    model = nnx.eval_shape(lambda: MACE(config, rngs=nnx.Rngs(0)))
    energy, forces = nnx.eval_shape(lambda model: predict(model, frames), model)
    assert energy.shape == (2,) and forces.shape == (2, 5, 3)


def test_benchmark_cases_compute_one_product():
    made = cases(3, jax.random.key(0), rows=4)
    results = {name: jax.jit(case.function)(*case.args) for name, case in made.items() if "Gaunt" in name}
    for result in results.values():
        assert_close(result, results["Gaunt, definition"], 1e-5)
