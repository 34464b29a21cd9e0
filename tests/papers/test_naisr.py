"""NAISR: the authors' vectors, the mathematics as properties, degenerate inputs, errors, presets."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.claims import run
from quire.common.fields.polygons import polygon_area
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_gradients, assert_vmap_consistent
from quire.naisr import (
    NAISR,
    PRESETS,
    BlackBox,
    LossWeights,
    Networks,
    Observed,
    OneDeformation,
    ShapeBatch,
    area_effects,
    clouds,
    contour_area,
    contour_distances,
    covariate_array,
    cross_effects,
    fit_code,
    infer,
    load_naisr,
    matched_width,
    naisr_loss,
    outline,
    paper,
    sample_shapes,
    shape_loss,
    square_grid,
    starman,
    transfer,
)
from quire.naisr.deformation import displacement, displacements
from quire.naisr.evaluation import changed_share, contour_transport, outline_clouds, overlap
from quire.naisr.experiments import build_black_box, build_naisr
from quire.naisr.training import AutoDecoder, full_loss, make_task, optimiser, pick, plain_loss

PRECISIONS = [pytest.param(jnp.float64, 1e-9, id="float64"), pytest.param(jnp.float32, 2e-3, id="float32")]


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("naisr")


# --- Golden vectors ----------------------------------------------------------------------------------------------------------


def golden_model(vectors, dtype):
    weights = {name.removeprefix("w."): x for name, x in vectors.arrays.items() if name.startswith("w.")}
    names = [str(name) for name in vectors["covariate_names"]]
    model = load_naisr(weights, names, dtype=dtype)
    hidden, layers, latent = vectors["arch_HLZ"].tolist()
    first, _ = model.nets.layers[0]
    assert (first.shape[-1], len(model.nets.layers) - 2, model.latent) == (hidden, layers, latent)
    return model


def golden_inputs(vectors, dtype):
    return (jnp.asarray(vectors[name], dtype) for name in ("x", "cov", "z"))


def test_every_golden_key_is_known(vectors):
    disps = {f"{kind}.{n}" for kind in ("disp", "disp_inv", "disp_zero_code") for n in vectors["covariate_names"]}
    terms = ("sdf", "normal_constraint", "inter_constraint", "eikonal")
    losses = {f"loss.{term}{end}" for term in terms for end in ("", "_z_padding")} | {"loss.code_reg", "loss.total"}
    losses |= {f"loss.disp_{n}{middle}_inv" for n in vectors["covariate_names"] for middle in ("", "_z_padding")}
    single = {"sdf", "template_sdf", "sdf_zero_code", "disp.total", "evolution_age_sdf", "grad_norms", "grad_names"}
    given = {"arch_HLZ", "covariate_names", "x", "cov", "z", "loss_gt_sdf", "loss_gt_normal", "loss_epoch"}
    assert {name for name in vectors.arrays if not name.startswith("w.")} == disps | losses | single | given


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_fields(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        graph, state = nnx.split(golden_model(vectors, dtype))
        p, c, z = golden_inputs(vectors, dtype)

        @jax.jit
        def everything(state, p, c, z):
            model = nnx.merge(graph, state)
            moved = model.displacement(p, c, z)
            total = sum(moved.values())
            again = {name: -model.displacement(p + d, c, z)[name] for name, d in moved.items()}
            zero = model.displacement(p, c, jnp.zeros_like(z))
            fields = {
                "sdf": model.sdf(p, c, z),
                "template_sdf": model.template_sdf(p),
                "sdf_zero_code": model.sdf(p, c, jnp.zeros_like(z)),
                "evolution_age_sdf": model.evolve(p, "age", c[:, model.names.index("age")], z),
            }
            parts = {"disp": moved | {"total": total}, "disp_inv": again, "disp_zero_code": zero}
            return {name: x[..., None] for name, x in fields.items()} | {
                f"{kind}.{name}": x for kind, named in parts.items() for name, x in named.items()
            }

        for name, found in everything(state, p, c, z).items():
            assert found.dtype == dtype
            assert_close(found, vectors[name], tolerance)


def golden_loss(vectors, dtype):
    """Weighted terms by the authors' names, and the 2-norm of the total's gradient by each of their tensors."""
    graph, params, rest = nnx.split(golden_model(vectors, dtype), nnx.Param, ...)
    p, c, z = golden_inputs(vectors, dtype)
    target, normals = (jnp.asarray(vectors[f"loss_gt_{name}"], dtype) for name in ("sdf", "normal"))
    batch = ShapeBatch(p, target[..., 0], normals, c, z)

    @jax.jit
    def differentiate(params, batch):
        def total(params):
            terms = naisr_loss(nnx.merge(graph, params, rest), batch, vectors["loss_epoch"].item())
            return terms.total, terms

        return jax.value_and_grad(total, has_aux=True)(params)

    (total, terms), gradient = differentiate(params, batch)
    names = ("sdf", "normal_constraint", "inter_constraint", "eikonal")
    found = {"total": total, "code_reg": terms.code} | dict(zip(names, terms.shape, strict=True))
    found |= {f"{name}_z_padding": x for name, x in zip(names, terms.zero_code, strict=True)}
    for i, name in enumerate(vectors["covariate_names"]):
        found |= {f"disp_{name}_inv": terms.inverse[i], f"disp_{name}_z_padding_inv": terms.inverse_zero_code[i]}
    return found, norms_by_name(gradient, vectors["covariate_names"])


def norms_by_name(gradient, covariate_names):
    norms = {}
    for (part, held, place), x in nnx.to_flat_state(gradient):
        last = place == len(gradient["template"]["weights"]) - 1
        inner = f"net.{place}.{'' if last else 'linear.'}{'weight' if held == 'weights' else 'bias'}"
        if part == "template":
            norms[f"template.{inner}"] = np.linalg.norm(x[...])
        else:
            norms |= {f"net_direction.{n}.{inner}": np.linalg.norm(each) for n, each in zip(covariate_names, x[...], strict=True)}
    return norms


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_loss(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        terms, norms = golden_loss(vectors, dtype)
    for name, value in terms.items():
        assert_close(value, vectors[f"loss.{name}"], tolerance)
    expected = dict(zip(vectors["grad_names"].tolist(), vectors["grad_norms"], strict=True))
    assert norms.keys() == {name for name in expected if ".bn." not in name}
    for name, norm in norms.items():
        np.testing.assert_allclose(norm, expected[name], rtol=tolerance, err_msg=name)
    last = f"net.{vectors['arch_HLZ'][1] + 1}.bias"
    assert all(norms[f"net_direction.{name}.{last}"] == 0 for name in vectors["covariate_names"])


# --- The model ---------------------------------------------------------------------------------------------------------------


NAMES = ("arms", "legs")


def tiny(kind=NAISR, **options):
    return kind(2, NAMES, 6, 2, 3, omega=5.0, rngs=nnx.Rngs(0), **options)


@pytest.fixture
def draw():
    return np.random.default_rng(0)


def some(draw, shapes=2, points=5):
    """Points, covariates and codes in float32."""
    arrays = draw.uniform(-1, 1, (shapes, points, 2)), draw.uniform(-1, 1, (shapes, 2)), draw.standard_normal((shapes, 3))
    return tuple(jnp.asarray(x, jnp.float32) for x in arrays)


def some_batch(draw, shapes=2, points=6):
    p, c, z = some(draw, shapes, points)
    sdf = np.where(np.arange(points) % 3 == 0, 0, draw.uniform(0.002, 0.02, (shapes, points))).astype(np.float32)
    normals = draw.standard_normal((shapes, points, 2)).astype(np.float32)
    return ShapeBatch(p, jnp.asarray(sdf), jnp.asarray(normals / np.linalg.norm(normals, axis=-1, keepdims=True)), c, z)


@pytest.mark.parametrize("points", [1, 5, 33])
def test_a_covariate_of_zero_moves_nothing(draw, points):
    model, (p, c, z) = tiny(), some(draw, 3, points)
    run_it = jax.jit(lambda p, c, z: displacements(model.nets.layers, p, c, z, omega=5.0))
    for i in range(2):
        moved = np.asarray(run_it(p, c.at[:, i].set(0), z))
        assert (moved[i] == 0).all()
        assert (moved[1 - i] != 0).any()


def test_displacements_add_up_and_evolve_is_the_rest_at_zero(draw):
    model, (p, c, z) = tiny(), some(draw)
    moved = model.displacement(p, c, z)
    assert_close(model.template_sdf(p + sum(moved.values())), model.sdf(p, c, z), 1e-6)
    assert_close(model.evolve(p, "legs", c[:, 1], z), model.sdf(p, {"arms": jnp.zeros(2), "legs": c[:, 1]}, z), 1e-6)
    np.testing.assert_array_equal(model.sdf(p, jnp.zeros_like(c), z), model.template_sdf(p))
    assert (np.abs(model.template_sdf(100 * p)) < 1).all()


def test_displacement_is_a_difference_of_the_field_with_its_output_bias(draw):
    """The definition, layer by layer, with the point entering again half way."""
    model, (p, c, z) = tiny(), some(draw)
    layers = [(np.asarray(w[1], float), np.asarray(b[1], float)) for w, b in model.nets.layers]

    def field(value):
        rows = np.concatenate([np.asarray(p[0], float), np.full((5, 1), value), np.tile(np.asarray(z[0], float), (5, 1))], 1)
        x = np.sin(5 * (rows @ layers[0][0] + layers[0][1]))
        x = np.sin(5 * (x @ layers[1][0] + layers[1][1]))
        x = np.sin(5 * (np.concatenate([np.asarray(p[0], float), x], 1) @ layers[2][0] + layers[2][1]))
        return x @ layers[3][0] + layers[3][1]

    expected = field(float(c[0, 1])) - field(0.0)
    np.testing.assert_allclose(model.displacement(p, c, z)["legs"][0], expected, rtol=1e-4, atol=1e-6)


def test_shapes_are_independent_and_broadcast(draw):
    model, (p, c, z) = tiny(), some(draw)
    assert_vmap_consistent(model.sdf, p, c, z)
    assert_close(model.sdf(p[0], c, z), model.sdf(jnp.stack([p[0]] * 2), c, z), 1e-6)
    layers = jax.tree.map(lambda x: x[0], model.nets.layers)
    assert_gradients(
        lambda p, c, z: displacement(jax.tree.map(lambda x: x.astype(p.dtype), layers), p, c, z, omega=2.0),
        p,
        c[:, :1],
        z,
        tolerance=1e-5,
    )


def test_degenerate_points_and_dtypes(draw, as_installed):
    model, (p, c, z) = tiny(), some(draw)
    assert_degenerate(lambda p, z: model.sdf(p, c, z), p[0], z, axes=(0,), scales=(1e-30,))
    assert_dtypes(lambda p, z: model.sdf(p, c, z), p, z, tolerance=1e-3)


def test_covariates_are_refused_by_name():
    model, p, z = tiny(), jnp.zeros((4, 2)), jnp.zeros(3)
    for c, message in (
        ({"arms": 1.0}, "no covariate 'legs'"),
        ({"arms": 1.0, "legs": 0.0, "age": 3.0}, "unknown covariate 'age'"),
        ({"arms": 1.0, "legs": np.zeros(3)}, "covariate 'legs' has shape"),
        ({"arms": 1.0, "legs": np.nan}, "covariate 'legs' has numbers that are not finite"),
        (np.zeros(3), "one number for each of arms, legs"),
    ):
        with jax.debug_nans(False), pytest.raises(ValueError, match=message):
            model.sdf(p, c, z)
    with pytest.warns(UserWarning, match="covariate 'arms' reaches 2"):
        covariate_array({"arms": 2.0, "legs": 0.0}, NAMES)
    with pytest.raises(ValueError, match="name is 'age'"):
        model.evolve(p, "age", 0.5, z)


def test_shapes_that_do_not_fit_are_refused(as_installed):
    model, c = tiny(), {"arms": 0.5, "legs": 0.0}
    for p, z in (((4, 3), (3,)), ((4, 2), (2,)), ((2,), (3,))):
        with pytest.raises(ValueError, match=r"need \[..., P, 2\] and \[..., 3\]"):
            model.sdf(jnp.zeros(p), c, jnp.zeros(z))
    with pytest.raises(ValueError, match="leading axes"):
        model.sdf(jnp.zeros((5, 4, 2)), c, jnp.zeros((2, 3)))
    for names in ((), ("a", "a")):
        with pytest.raises(ValueError, match="covariate_names is"):
            NAISR(2, names, 6, 2, 3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="layers is 0"):
        NAISR(2, NAMES, 6, 0, 3, rngs=nnx.Rngs(0))


# --- The loss ----------------------------------------------------------------------------------------------------------------


def test_loss_terms_by_definition(draw):
    """Slopes by differences, everything else by loops, in float64."""
    with jax.enable_x64():
        model = tiny()
        graph, params, rest = nnx.split(model, nnx.Param, ...)
        model = nnx.merge(graph, jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params), rest)
        batch = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), some_batch(draw))
        terms = jax.jit(lambda batch: naisr_loss(model, batch, 30))(batch)
        p, g, n, _, z = map(np.asarray, batch)
        run_it = jax.jit(lambda p, z: (model.sdf(p, batch.c, z), displacements(model.nets.layers, p, batch.c, z, omega=5.0)))
        for codes, found, inverse in ((z, terms.shape, terms.inverse), (0 * z, terms.zero_code, terms.inverse_zero_code)):
            values, moved = map(np.asarray, run_it(p, codes))
            slopes = np.stack([(run_it(p + h, codes)[0] - run_it(p - h, codes)[0]) / 2e-5 for h in 1e-5 * np.eye(2)], -1)
            length, on = np.linalg.norm(slopes, axis=-1), np.abs(g) < 1e-3
            cosine = (slopes * n).sum(-1) / (length * np.linalg.norm(n, axis=-1))
            expected = [
                300 * np.abs(values - g)[on].mean(),
                100 * (1 - cosine)[on].mean(),
                1000 * np.abs(values - g)[~on].mean(),
                100 * np.abs(length - 1).mean(),
            ]
            np.testing.assert_allclose(found, expected, rtol=1e-6)
            for i in range(2):
                again = np.asarray(run_it(p + moved[i], codes)[1][i])
                np.testing.assert_allclose(inverse[i], 10 * np.abs(moved[i] - again)[np.abs(g) < 0.01].mean(), rtol=1e-9)
        np.testing.assert_allclose(terms.code, 1e-4 * 0.3 * 1e4 * 2 / g.size * (z**2).sum() / 3, rtol=1e-12)
        np.testing.assert_allclose(terms.total, sum(np.sum(x) for x in jax.tree.leaves(terms)), rtol=1e-12)


def test_switches_noise_and_plain_loss(draw):
    model, batch = tiny(noise=0.1), some_batch(draw)
    loss = jax.jit(lambda weights, epoch, key: naisr_loss(model, batch, epoch, weights, key))
    full = loss(LossWeights(), 500, jax.random.key(0))
    off = loss(LossWeights(0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0), 500, jax.random.key(0))
    alone = loss(LossWeights(disentangle=0.0), 500, jax.random.key(0))
    assert float(off.total) == 0
    assert not any(map(float, alone.zero_code))
    np.testing.assert_allclose(alone.shape, full.shape, rtol=1e-6)
    assert abs(float(loss(LossWeights(), 500, jax.random.key(1)).total - full.total)) > 1e-3
    np.testing.assert_allclose(full.code, 2 / batch.sdf.size * np.sum(np.square(batch.z)) / 3, rtol=1e-5)
    quiet = naisr_loss(model, batch, 500)
    np.testing.assert_allclose(shape_loss(model, batch, 500), sum(quiet.shape) + quiet.code, rtol=1e-5)
    with pytest.raises(ValueError, match="batch has points"):
        naisr_loss(model, batch._replace(z=batch.z[:, :2]), 0)


# --- Baselines ---------------------------------------------------------------------------------------------------------------


def test_black_boxes_have_at_least_as_many_parameters():
    def count(model):
        return sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param)))

    for hidden, layers, latent in ((32, 2, 8), (12, 3, 5)):
        ours = count(NAISR(2, NAMES, hidden, layers, latent, rngs=nnx.Rngs(0)))
        width = matched_width(2, 2, hidden, layers, latent)
        theirs = [count(BlackBox(2, NAMES, w, layers, latent, rngs=nnx.Rngs(0))) for w in (width - 1, width)]
        assert theirs[0] < ours <= theirs[1]


def test_one_deformation_with_and_without_covariates(draw):
    p, c, z = some(draw)
    together, blind = (tiny(OneDeformation, covariates=sees) for sees in (True, False))
    assert (np.asarray(together.displacement(p, 0 * c, z)) == 0).all()
    assert np.abs(together.sdf(p, c, z) - together.sdf(p, -c, z)).max() > 1e-4
    np.testing.assert_array_equal(blind.sdf(p, c, z), blind.sdf(p, -c, z))
    _, bias = blind.net.layers[-1]
    shifted = [np.asarray(blind.displacement(p, c, z)), None]
    blind.net.biases[-1] = nnx.Param(bias + 1.0)
    shifted[1] = np.asarray(blind.displacement(p, c, z))
    np.testing.assert_allclose(shifted[1] - shifted[0], 1.0, rtol=1e-5)
    box = tiny(BlackBox)
    assert np.abs(box.sdf(p, c, z) - box.sdf(p, c, 0 * z)).max() > 1e-4
    assert np.abs(box.sdf(p, c, z) - box.sdf(p, 0 * c, z)).max() > 1e-4


# --- Starmen -----------------------------------------------------------------------------------------------------------------


def test_starmen_are_the_same_for_a_key_and_share_their_waves():
    first, again, other = (starman(jax.random.key(k), 3, 2, vertices=60) for k in (0, 0, 1))
    np.testing.assert_array_equal(first.outlines, again.outlines)
    assert not np.allclose(first.outlines, other.outlines)
    radius = np.linalg.norm(first.outlines, axis=-1)
    bare = np.linalg.norm(outline(first.covariates, np.zeros((3, 1, 2, 3)), 60), axis=-1)
    np.testing.assert_allclose((radius - bare)[:, 0], (radius - bare)[:, 1], atol=1e-12)
    assert np.abs(first.outlines).max() < 1
    assert (polygon_area(first.outlines) > 0).all()


def test_covariates_move_the_lobes_they_say():
    def peaks(c):
        radius = np.linalg.norm(outline(np.array(c), np.zeros((2, 3)), 3600), axis=-1)
        top = (radius > np.roll(radius, 1)) & (radius > np.roll(radius, -1))
        return np.sort(2 * np.pi * np.flatnonzero(top) / 3600)

    rest, raised, spread = peaks([0.0, 0.0]), peaks([0.2, 0.0]), peaks([0.0, 1.0])
    assert len(rest) == 5
    np.testing.assert_allclose(rest[[1]], np.pi / 2, atol=0.01)
    np.testing.assert_allclose((raised - rest)[[0, 2]], [0.1, -0.1], atol=0.02)
    np.testing.assert_allclose((spread - rest)[[3, 4]], [-0.3, 0.3], atol=0.03)
    np.testing.assert_allclose((spread - rest)[[0, 1, 2]], 0, atol=0.02)
    # bumps of neighbouring lobes add up, so that legs that stand together hold more area
    together, apart = (polygon_area(outline(np.array([0.0, legs]), np.zeros((2, 3)))) for legs in (-1.0, 1.0))
    assert 1.01 < together / apart < 1.05


def test_starmen_and_samples_are_refused():
    for arguments, message in (((0, 1), "n_subjects is 0"), ((1, 0), "n_visits is 0")):
        with pytest.raises(ValueError, match=message):
            starman(jax.random.key(0), *arguments)
    with pytest.raises(ValueError, match="sd is -1"):
        starman(jax.random.key(0), 1, 1, sd=-1)
    with pytest.raises(ValueError, match="waves are so large"):
        starman(jax.random.key(0), 8, 1, sd=3.0)
    with pytest.raises(ValueError, match="each is 6"):
        sample_shapes(jax.random.key(0), np.zeros((1, 4, 2)), 6)


def test_samples_lie_where_they_say():
    men = starman(jax.random.key(0), 2, 1, vertices=80)
    samples = sample_shapes(jax.random.key(1), men.outlines[:, 0], 32)
    assert samples.points.shape == (2, 32, 2)
    assert (samples.sdf[:, :16] == 0).all()
    assert (np.abs(samples.sdf[:, 24:]) < 0.05 * 2**0.5).all()
    np.testing.assert_allclose(np.linalg.norm(samples.normals[:, :16], axis=-1), 1, rtol=1e-5)
    out = (samples.points + 0.01 * samples.normals)[:, :16]
    assert (np.linalg.norm(out, axis=-1) > np.linalg.norm(samples.points[:, :16], axis=-1)).mean() > 0.9


# --- Training and inference --------------------------------------------------------------------------------------------------


SMALL = replace(PRESETS["quick"].training, steps=3, batch_size=2, points=8)


def small_task(**options):
    men = starman(jax.random.key(0), 2, 2, vertices=40)
    samples = sample_shapes(jax.random.key(1), men.outlines.reshape(4, 40, 2), 16)
    return make_task(samples, men.covariates.reshape(4, 2), SMALL, jax.random.key(2), **options)


def test_batches_take_points_from_their_parts():
    task = small_task()
    step = pick(task, 2)
    np.testing.assert_array_equal(step.c, task.c[task.ids[2]])
    assert (step.samples.sdf[:, :4] == 0).all()
    assert (step.samples.sdf[:, 4:] != 0).all()
    assert [int(pick(task, i).epoch) for i in range(3)] == [0, 0, 1]
    with pytest.raises(ValueError, match="points is 7"):
        make_task(task.samples, task.c, replace(SMALL, points=7), jax.random.key(0))


@pytest.mark.parametrize(("kind", "loss"), [(NAISR, full_loss), (BlackBox, plain_loss)])
def test_a_step_changes_networks_and_codes_and_bounds_codes(kind, loss):
    decoder, task = AutoDecoder(tiny(kind), 4, rngs=nnx.Rngs(1)), small_task()
    graph, params, rest = nnx.split(decoder, nnx.Param, ...)
    tx = optimiser(replace(SMALL, code_rate=5.0))

    @jax.jit
    def step(params):
        gradient = jax.grad(
            lambda p: loss(nnx.merge(graph, p, rest), pick(jax.tree.map(jnp.asarray, task), 0), jax.random.key(0))
        )(params)
        updates, _ = tx.update(gradient, tx.init(params), params)
        return jax.tree.map(jnp.add, params, updates)

    after = step(params)
    before = nnx.to_flat_state(params)
    last = ("model", "nets", "biases", 3)
    for (path, old), (_, new) in zip(before, nnx.to_flat_state(after), strict=True):
        assert np.any(old[...] != new[...]) == (path != last), path
    seen = np.unique(task.ids[0])
    codes = np.asarray(after["codes"]["codes"][...])
    assert (np.linalg.norm(codes, axis=1) <= 1 + 1e-6).all()
    assert np.linalg.norm(codes[seen], axis=1).max() > 0.99  # a step of 5 would have led far beyond
    np.testing.assert_array_equal(
        codes[np.setdiff1d(np.arange(4), seen)], np.asarray(params["codes"]["codes"][...])[np.setdiff1d(np.arange(4), seen)]
    )


def test_codes_are_fitted_with_covariates_known_and_not(draw):
    model = tiny()
    p, c, z = some(draw, 2, 24)
    truth = np.asarray(model.sdf(p, c, z))
    before = jax.tree.map(np.asarray, nnx.state(model))
    observed = Observed(p, truth)
    fitted = fit_code(model, observed, c, steps=20, rate=0.05)
    assert fitted.z.shape == (2, 3)
    assert fitted.losses[-1] < 0.8 * fitted.losses[0]
    np.testing.assert_array_equal(fitted.c, c)
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.asarray, nnx.state(model)))
    guess = infer(model, observed, jax.random.key(0), steps=20, rate=0.05, c_rate=1e-3)
    assert guess.losses[-1] < guess.losses[0]
    assert (np.abs(guess.c) < 1).all()
    z_new, c_new = transfer(model, guess, c + 0.25, observed_c=c)
    np.testing.assert_allclose(c_new - guess.c, 0.25, rtol=1e-4)
    np.testing.assert_array_equal(z_new, guess.z)
    np.testing.assert_array_equal(transfer(model, fitted, 0 * c)[1], 0 * c)
    with pytest.raises(ValueError, match="one distance a point"):
        fit_code(model, Observed(p, truth[:, :3]), c)


def test_the_first_losses_of_inference_by_definition(draw):
    """With normals: all terms of training, the code's tenfold; with known covariates those of the shape and a small penalty."""
    model, batch = tiny(), some_batch(draw)
    observed = Observed(*batch[:3])
    known = fit_code(model, observed, batch.c, steps=1)
    quiet = [naisr_loss(model, jax.tree.map(lambda x, i=i: x[i : i + 1], batch._replace(z=0 * batch.z)), 100) for i in range(2)]
    np.testing.assert_allclose(known.losses[0], sum(float(sum(terms.shape)) for terms in quiet), rtol=1e-4)
    unknown = infer(model, observed, jax.random.key(0), steps=1, rate=0.0, spread=0.3)
    weights = LossWeights(code=1e-3)
    found = [
        naisr_loss(model, jax.tree.map(lambda x, i=i: x[i : i + 1], batch._replace(z=unknown.z, c=unknown.c)), 100, weights)
        for i in range(2)
    ]
    np.testing.assert_allclose(unknown.losses[0], sum(float(terms.total) for terms in found), rtol=1e-4)


# --- Evaluation --------------------------------------------------------------------------------------------------------------


def test_contours_of_discs():
    grid = square_grid(41)
    disc = (np.linalg.norm(grid.points, axis=1) - 0.5).reshape(41, 41)
    found = clouds(np.stack([disc, disc - 0.1]), grid.axis, 60)
    chamfers, hausdorffs = contour_distances(found, found[:1])
    np.testing.assert_allclose(chamfers, [0, 0.1], atol=2e-3)
    np.testing.assert_allclose(hausdorffs, [0, 0.1], atol=5e-3)
    np.testing.assert_allclose(contour_transport(found, found[[0, 0]]), [0, 0.1], atol=3e-3)
    np.testing.assert_allclose(contour_area(disc, grid.axis), np.pi / 4, rtol=0.01)
    nowhere = clouds(disc[None] + 9, grid.axis, 60)
    assert np.isnan(contour_transport(nowhere, found[:1])).all()
    with jax.debug_nans(False):
        assert not np.isfinite(contour_distances(nowhere, found[:1])[0]).any()
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    np.testing.assert_allclose(np.abs(outline_clouds(square, 40)).max(1), 0.5)


def test_shares_and_overlaps():
    a, b = np.array([[True, True, False, False]]), np.array([[True, False, True, False]])
    assert overlap(a, b).tolist() == [1 / 3]
    assert overlap(0 * a > 0, 0 * a > 0).tolist() == [1.0]
    assert changed_share(a, b, np.array([False, True, False, False])) == 0.5
    assert np.isnan(changed_share(a, a, a[0]))


def test_cross_effects_are_correlations(draw):
    c = draw.standard_normal((30, 2))
    effects = np.stack([c[:, 0], c[:, 0] - c[:, 1]])
    found = cross_effects(c, effects)
    np.testing.assert_allclose(found, [[np.corrcoef(x, e)[0, 1] for e in effects] for x in c.T], atol=1e-12)
    assert (cross_effects(c, np.ones((2, 30))) == 0).all()
    model, grid = tiny(), square_grid(5)
    moved = area_effects(model, jnp.asarray(grid.points), jnp.zeros((3, 2)), jnp.ones((3, 3)))
    assert moved.shape == (2, 3)
    assert (np.asarray(moved) == 0).all()


# --- Presets, checkpoints, claims --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_presets_trace(preset):
    key = jax.random.key(0)
    shapes = preset.training.batch_size, preset.training.points
    networks = preset.networks
    sizes = [(*shapes, 2), shapes, (*shapes, 2), (shapes[0], 2), (shapes[0], networks.latent)]
    batch = ShapeBatch(*(jax.ShapeDtypeStruct(s, jnp.float32) for s in sizes))
    small = replace(preset, networks=replace(networks, hidden=8)) if networks.hidden > 64 else preset
    model = build_naisr(small, nnx.Rngs(key))
    assert jax.eval_shape(lambda batch: naisr_loss(model, batch, 0, key=key).total, batch).shape == ()
    box = build_black_box(small, nnx.Rngs(key))
    assert jax.eval_shape(lambda batch: shape_loss(box, batch, 0), batch).shape == ()
    assert preset.shapes.pool % 4 == preset.training.points % 2 == preset.shapes.fitted % 4 == 0
    assert preset.training.batch_size <= preset.shapes.subjects * preset.shapes.visits


def test_sizes_are_refused():
    for options in ({"hidden": 0}, {"omega": 0.0}, {"noise": -1.0}):
        with pytest.raises(ValueError, match="sizes must be positive"):
            Networks(**options)


def test_checkpoints_are_read_strictly(vectors):
    state = {name.removeprefix("w."): x for name, x in vectors.arrays.items() if name.startswith("w.")}
    names = vectors["covariate_names"].tolist()
    some_name = f"net_direction.{names[-1]}.net.1.linear.weight"
    for changed, message in (
        ({n: x for n, x in state.items() if n != some_name}, f"missing: {some_name}"),
        (state | {"template.net.0.linear.scale": np.ones(1)}, "unexpected: template.net.0.linear.scale"),
        (state | {some_name: np.ones((2, 2))}, some_name),
        ({}, "no net_direction"),
    ):
        with pytest.raises(ValueError, match=message):
            load_naisr(changed, names)
    with pytest.raises(ValueError, match=r"net_direction\.height"):
        load_naisr(state, ["height"])


def test_the_identity_holds():
    assert run(paper, claims=["C1"], seeds=1).as_expected
