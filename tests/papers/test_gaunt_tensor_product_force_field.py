"""Gaunt tensor product: many-body products, force field, claims."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.equivariant.neighbours import edge_vectors, neighbour_list
from quire.common.equivariant.rotations import random_rotation, wigner_d
from quire.common.testing import assert_close, assert_equivariant
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

clusters = cache(generate_clusters)


def mace(**sizes):
    """A small force field for two elements."""
    return MACE(MACEConfig(2, **(SMALL | sizes)), rngs=nnx.Rngs(0))


# --- Many-body products and the force field ---


def test_symmetric_contraction_has_maces_paths():
    assert [symmetric_couplings(2, nu, 0).shape[1] for nu in (1, 2, 3)] == [1, 3, 5]
    with jax.enable_x64():
        D = wigner_d(2, random_rotation(jax.random.key(0)))
        one_hot = np.eye(3)[[0, 2]]
        x = np.random.default_rng(1).standard_normal((2, 4, 9))
        for block in (
            SymmetricContraction(3, 2, 1, 3, 4, rngs=nnx.Rngs(0)),
            ManyBody(3, 2, 1, 3, 4, weigh_inputs=True, rngs=nnx.Rngs(0)),
        ):
            assert_equivariant(
                jax.jit(lambda x, block=block: block(x, jnp.asarray(one_hot))),
                x,
                elements=[np.asarray(D)],
                act_in=lambda g, x: x @ g.T,
                act_out=lambda g, y: np.asarray(y) @ g[:4, :4].T,
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
        model = mace(tp=tp)
        x, species = 1.2 * np.random.default_rng(0).standard_normal((5, 3)), np.array([0, 1, 1, 0, 1], np.int32)

        @jax.jit
        def run(x, species):
            return energy_and_forces(model, species, x, neighbour_list(x, 3.0, 4, species >= 0))

        def evaluate(x, species):
            """Of five atoms and a place without one."""
            energy, forces = run(np.concatenate([x, np.zeros((1, 3))]), np.append(species, np.int32(-1)))
            return float(energy), np.asarray(forces)[:-1]

        @jax.jit
        def run_edges(x, species):  # as in training
            near = neighbour_list(x, 3.0, 4)
            edges, slopes = edges_with_slopes(model.config, edge_vectors(x, near))
            return energy_and_forces_of_edges(model, species, edges, slopes, near)

        energy, forces = evaluate(x, species)
        alone = run_edges(x, species)
        assert_close(alone[0], energy, 1e-12)
        assert_close(alone[1], forces, 1e-10)
        assert_close(forces.sum(0) + 1, np.ones(3), 1e-10)
        shift = np.zeros_like(x)
        shift[1, 2] = 1e-5
        difference = (evaluate(x - shift, species)[0] - evaluate(x + shift, species)[0]) / 2e-5
        assert abs(difference - forces[1, 2]) < 1e-6 * np.abs(forces).max()
        order = np.array([3, 0, 4, 1, 2])
        assert_close(evaluate(x[order], species[order])[1], forces[order], 1e-10)
        R = np.asarray(random_rotation(jax.random.key(3)))
        for g in (R, -R):
            assert_close(evaluate(x @ g.T, species)[1], forces @ g.T, 1e-10)


def test_frames_that_a_force_field_cannot_read(as_installed):
    """Another element and neighbours that were left out are errors; where they are traced, energy and forces are NaN."""
    model = mace(num_layers=1)
    x, species = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32), np.array([0, 1, 1, -1], np.int32)
    listed = jax.jit(neighbour_list, static_argnums=(1, 2))
    near, short = (listed(x, 9.0, capacity, species >= 0) for capacity in (2, 1))
    other = np.array([2, 1, 1, -1], np.int32)

    def trace(species, near):  # by shapes alone, with species and neighbours known
        return jax.eval_shape(lambda x: energy_and_forces(model, species, x, near), x)

    for bad, message in ((other, "species runs from -1 to 2"), (other - 4, "species runs from -5 to -2")):
        with pytest.raises(ValueError, match=message):
            trace(jnp.asarray(bad), near)
    with pytest.raises(ValueError, match="species has dtype float32"):
        trace(jnp.asarray(x[:, 0]), near)
    with pytest.raises(ValueError, match="neighbours overflow by 3"):
        trace(jnp.asarray(species), short)
    traced = jax.jit(lambda species, near: energy_and_forces(model, species, jnp.asarray(x), near))
    with jax.debug_nans(False):
        known = jax.jit(lambda x: energy_and_forces(model, jnp.asarray(species), x, near)[1])(x)
        assert_close(traced(species, near)[1], known, 1e-5)
        for energy, forces in (traced(other, near), traced(species, near._replace(overflow=short.overflow))):
            assert np.isnan(energy) and np.isnan(np.asarray(forces)[:3]).any()


def test_clusters_have_exact_forces():
    """Along a random direction the forces are what a central difference of the energies finds."""
    frames = clusters(0, 12, 4)
    x, forces = frames.positions[0], frames.forces[0]
    along = np.random.default_rng(1).standard_normal(x.shape)
    with jax.enable_x64():
        energy = jax.jit(cluster_energy)
        below, here, above = (float(energy(x + h * along, frames.species[0])) for h in (-1e-5, 0, 1e-5))
    assert_close(here, frames.energy[0], 1e-12)
    assert_close((below - above) / 2e-5, np.sum(forces * along), 1e-6)


def test_training_lowers_the_loss_and_keeps_its_average():
    frames = clusters(0, 12, 4)
    config = replace(fitted_config(MACEConfig(2, **(SMALL | {"num_layers": 1})), frames), channels=4)
    ready = prepare(config, frames, float(frames.interaction_energy.mean()))
    graph, state, losses = train_force_field(config, Training(40, 4, 2e-2), ready, jax.random.split(jax.random.key(0), 2))
    losses = np.asarray(losses)
    assert losses.shape == (2, 40)
    assert losses[:, -5:].mean() < 0.7 * losses[:, :5].mean()
    force, _, predicted = force_errors(graph, state, ready)
    assert force.shape == (2,)
    alone = jax.jit(lambda state, frames: predict(nnx.merge(graph, state), frames)[1])
    for seed in range(2):  # side by side the seeds do what each of them does alone
        own = jax.tree.map(lambda x, seed=seed: np.asarray(x)[seed], state)
        assert_close(np.asarray(predicted)[seed], alone(own, ready), 1e-4)


@pytest.mark.parametrize(("name", "tp"), [("standard", "gaunt"), ("paper", "gaunt"), ("paper", "cg")])
def test_force_fields_of_larger_presets_fit_together(name, tp):
    """Traced, not run: energies and forces at the sizes of the paper."""
    config = replace(PRESETS[name].molecule.model, tp=tp)
    frames = prepare(config, clusters(0, 12, 4), 0.0)
    model = nnx.eval_shape(lambda: MACE(config, rngs=nnx.Rngs(0)))
    energy, forces = nnx.eval_shape(lambda model: predict(model, frames), model)
    assert energy.shape == (12,) and forces.shape == (12, 4, 3)


def test_benchmark_cases_compute_one_product():
    made = cases(3, jax.random.key(0), rows=4)
    results = {name: jax.jit(case.function)(*case.args) for name, case in made.items() if "Gaunt" in name}
    for result in results.values():
        assert_close(result, results["Gaunt, definition"], 1e-5)
