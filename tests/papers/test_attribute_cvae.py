"""Attribute CVAE: golden parity, distributions, networks, objectives, generation, likelihoods, drawn images, presets, errors."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image
from scipy.stats import norm

from quire.attribute_cvae import (
    CVAE,
    PRESETS,
    Architecture,
    AttributeDecoder,
    Likelihood,
    Normal,
    Training,
    TransposedConv,
    at_noise,
    attribute_accuracy,
    attribute_birds,
    attribute_faces,
    beta_schedule,
    celeba,
    conditional_log_likelihood,
    diversity,
    draw_birds,
    draw_faces,
    edit,
    elbo,
    gaussian_kl,
    hybrid_loss,
    interpolate,
    log_density,
    log_mean,
    log_weights,
    nearest_distances,
    negative_bound,
    sample,
    stochastic_loss,
)
from quire.attribute_cvae.benchmark import with_zeros
from quire.attribute_cvae.celeba import read_attributes
from quire.attribute_cvae.images import open_images, unseen_combinations
from quire.attribute_cvae.judging import cvae_study
from quire.attribute_cvae.study import Batch, builders, cvae_loss
from quire.common.errors import DatasetCorrupt, DatasetUnavailable
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_gradients, assert_vmap_consistent
from quire.common.train.recipe import Recipe

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
TINY = Architecture("mlp", (7,), (5,))


def tiny(**options) -> CVAE:
    return CVAE((4, 4, 1), 3, 2, architecture=options.pop("architecture", TINY), rngs=nnx.Rngs(0), **options)


Y = RNG.random((6, 4, 4, 1)).astype(np.float32)
X = RNG.integers(0, 2, (6, 3)).astype(np.float32)

# --- Golden vectors ---

PRECISIONS = pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 1e-5)])


def golden_model(g, dtype, **options) -> CVAE:
    """The golden networks: heads of means and logarithms of variances are two layers there and one here."""
    features, n_attr, z_dim = g["y"].shape[1], g["attr"].shape[1], g["eps_q"].shape[1]
    hidden = {name: (len(g[f"w/{name}1/W"]),) for name in ("rec", "pri")}
    architecture = Architecture("mlp", hidden["rec"], hidden["pri"], jnp.tanh)
    model = CVAE((features,), n_attr, z_dim, architecture=architecture, rngs=nnx.Rngs(0), **options)
    for layers, names in (
        (model.encoder.head.layers, (["rec1"], ["rec_mu", "rec_lv"])),
        (model.prior_net.layers, (["pri1"], ["pri_mu", "pri_lv"])),
        (model.decoder.head.layers, (["dec1"], ["dec2"])),
    ):
        for layer, parts in zip(layers, names, strict=True):
            layer.kernel = nnx.Param(jnp.asarray(np.concatenate([g[f"w/{part}/W"] for part in parts]).T, dtype))
            layer.bias = nnx.Param(jnp.asarray(np.concatenate([g[f"w/{part}/b"] for part in parts]), dtype))
    return model


@PRECISIONS
def test_golden_networks_and_terms(golden, dtype, tolerance):
    g = golden("attribute_cvae")
    with jax.enable_x64(dtype == "float64"):
        y, x, eps_q, eps_p = (jnp.asarray(g[name], dtype) for name in ("y", "attr", "eps_q", "eps_p"))
        model = golden_model(g, dtype)
        q, p = model.recognise(y, x), model.prior(x)
        for actual, name in zip((*q, *p), ("mu_q", "logvar_q", "mu_p", "logvar_p"), strict=True):
            assert_close(actual, g[name], tolerance)
        for of, eps, end in ((q, eps_q, "q"), (p, eps_p, "p")):
            z = at_noise(of, eps)
            assert_close(z, g[f"z_{end}"], tolerance)
            assert_close(model.decode(z, x), g[f"logits_{end}"], tolerance)
        assert_close(gaussian_kl(*q, *p), g["kl_learned_prior"], tolerance)
        assert_close(gaussian_kl(*q, jnp.zeros_like(q.mean), jnp.zeros_like(q.mean)), g["kl_std_prior"], tolerance)
        assert_close(negative_bound(model, y, x, eps_q).reconstruction, g["recon_bce"], tolerance)
        assert_close(stochastic_loss(model, y, x, eps_p), g["gsnn_bce"], tolerance)
        half = Likelihood("gaussian", 1.0).log_prob(y, model.decode(at_noise(q, eps_q), x))
        assert_close(-half - y.shape[1] * np.log(2 * np.pi) / 2, g["recon_half_sse"], 10 * tolerance)


@PRECISIONS
def test_golden_losses_and_gradients(golden, dtype, tolerance):
    g = golden("attribute_cvae")
    with jax.enable_x64(dtype == "float64"):
        y, x, eps_q, eps_p = (jnp.asarray(g[name], dtype) for name in ("y", "attr", "eps_q", "eps_p"))
        graph, state = nnx.split(golden_model(g, dtype))

        def loss(state, beta):
            terms = negative_bound(nnx.merge(graph, state), y, x, eps_q)
            return jnp.mean(terms.reconstruction + beta * terms.kl)

        for name in (n for n in g.arrays if n.startswith("loss/beta")):
            assert_close(loss(state, float(name.removeprefix("loss/beta"))), g[name], tolerance)
        (name,) = (n for n in g.arrays if n.startswith("loss/hybrid_alpha"))
        alpha = float(name.removeprefix("loss/hybrid_alpha"))
        both = alpha * loss(state, 1.0) + (1 - alpha) * stochastic_loss(nnx.merge(graph, state), y, x, eps_p).mean()
        assert_close(both, g[name], tolerance)
        slope = jax.grad(loss)(state, 1.0)
        for layers, names in (
            (slope["encoder"]["head"]["layers"], (["rec1"], ["rec_mu", "rec_lv"])),
            (slope["prior_net"]["layers"], (["pri1"], ["pri_mu", "pri_lv"])),
            (slope["decoder"]["head"]["layers"], (["dec1"], ["dec2"])),
        ):
            for place, parts in enumerate(names):
                expected = np.concatenate([g[f"grad_beta1/{part}/W"] for part in parts]).T
                assert_close(layers[place]["kernel"][...], expected, 10 * tolerance)


@PRECISIONS
def test_golden_likelihoods(golden, dtype, tolerance):
    g = golden("attribute_cvae")
    with jax.enable_x64(dtype == "float64"):
        y, x, eps = (jnp.asarray(g[name], dtype) for name in ("y_binary", "attr", "cll/eps"))
        model = golden_model(g, dtype)
        assert_close(log_mean(log_weights(model, y, x, eps, "prior")), g["cll/mc_prior"], tolerance)
        assert_close(log_mean(log_weights(model, y, x, eps)), g["cll/importance"], tolerance)


# --- Distributions ---


def test_divergence_is_zero_for_equals_and_positive_otherwise():
    mean, logvar = RNG.normal(size=(2, 5, 3)).astype(np.float32)
    assert not np.asarray(gaussian_kl(mean, logvar, mean, logvar)).any()
    assert (np.asarray(gaussian_kl(mean, logvar, mean + 0.1, logvar)) > 0).all()
    assert (np.asarray(gaussian_kl(mean, logvar, mean, logvar - 0.1)) > 0).all()


def test_divergence_gradients_dtypes_and_degenerate_inputs():
    parts = RNG.uniform(-1, 1, (4, 5, 3)).astype(np.float32)
    assert_degenerate(gaussian_kl, *parts, scales=(1e-30, 10.0))
    assert_dtypes(gaussian_kl, *parts)
    assert_vmap_consistent(gaussian_kl, *parts)
    with jax.enable_x64():
        assert_gradients(gaussian_kl, *parts.astype(float))


def test_densities_are_those_of_scipy():
    z, mean, logvar = RNG.normal(size=(3, 5, 2))
    expected = norm.logpdf(z, mean, np.exp(logvar / 2)).sum(-1)
    np.testing.assert_allclose(log_density(z, Normal(mean, logvar)), expected, rtol=1e-5)
    assert_dtypes(lambda z: log_density(z, Normal(mean.astype(np.float32), logvar.astype(np.float32))), z)


def test_likelihoods_sum_over_pixels():
    logits = RNG.normal(size=(3, 2, 2, 1)).astype(np.float32)
    y = (RNG.random((3, 2, 2, 1)) > 0.5).astype(np.float32)
    p = 1 / (1 + np.exp(-logits))
    expected = np.where(y > 0, np.log(p), np.log(1 - p)).sum((1, 2, 3))
    np.testing.assert_allclose(Likelihood().log_prob(y, logits), expected, rtol=1e-5)
    expected = norm.logpdf(y, p, 0.3).sum((1, 2, 3))
    np.testing.assert_allclose(Likelihood("gaussian", 0.09).log_prob(y, logits), expected, rtol=1e-5)
    assert_degenerate(Likelihood().log_prob, y, logits)


# --- Networks ---


def test_the_transposed_convolution_is_that_with_zeros_between_pixels():
    layer = TransposedConv(3, 2, rngs=nnx.Rngs(0))
    x = jnp.asarray(RNG.normal(size=(2, 3, 5, 3)), jnp.float32)
    kernel = layer.kernel[...]
    np.testing.assert_allclose(layer(x), with_zeros(x, kernel), atol=1e-5)
    assert layer(x).shape == (2, 6, 10, 2)
    spread = float(jnp.std(TransposedConv(64, 64, rngs=nnx.Rngs(1))(jax.random.normal(KEY, (4, 8, 8, 64)))))
    assert 1.2 < spread < 1.6  # sqrt(2), but for the border


@pytest.mark.parametrize("architecture", [TINY, Architecture("conv", (4, 6), (5,))])
def test_networks_of_both_kinds_give_images_of_their_shape(architecture):
    model = CVAE((8, 4, 2), 3, 2, architecture=architecture, rngs=nnx.Rngs(0))
    y = RNG.random((6, 8, 4, 2)).astype(np.float32)
    value, slope = nnx.value_and_grad(lambda m: elbo(m, y, X, KEY)[0])(model)
    leaves = jax.tree.leaves(slope)
    assert np.isfinite(value) and all(np.isfinite(leaf).all() for leaf in leaves)
    assert all(np.any(leaf) for leaf in leaves)  # no part is left out
    assert sample(model, X, KEY).shape == y.shape


def test_attributes_reach_every_network():
    model, other = tiny(), 1 - X
    assert not np.allclose(model.recognise(Y, X).mean, model.recognise(Y, other).mean)
    assert not np.allclose(model.prior(X).mean, model.prior(other).mean)
    assert not np.allclose(model.decode(np.zeros((6, 2)), X), model.decode(np.zeros((6, 2)), other))
    assert not tiny(prior="normal").prior(X).mean.any()


def test_without_attributes_it_is_a_vae():
    model = CVAE((4, 4, 1), 0, 2, prior="normal", architecture=TINY, rngs=nnx.Rngs(0))
    loss, terms = elbo(model, Y, np.zeros((6, 0)), KEY)
    assert np.isfinite(loss) and terms.kl.shape == (6,)


# --- Objectives ---


def test_beta_weighs_the_divergence_and_alpha_the_two_losses():
    model = tiny()
    (none, terms), (four, _) = elbo(model, Y, X, KEY, 0.0), elbo(model, Y, X, KEY, 4.0)
    np.testing.assert_allclose(four - none, 4 * terms.kl.mean(), rtol=1e-5)
    of_q, of_p = jax.random.split(KEY)
    ends = elbo(model, Y, X, of_q)[0], stochastic_loss(model, Y, X, jax.random.normal(of_p, (6, 2))).mean()
    np.testing.assert_allclose(hybrid_loss(model, Y, X, KEY, 0.3), 0.3 * ends[0] + 0.7 * ends[1], rtol=1e-5)


def test_free_bits_are_what_a_latent_number_counts_at_least():
    model = tiny()
    eps = np.zeros((6, 2))
    plain, freed = (negative_bound(model, Y, X, eps, bits).kl for bits in (0.0, 100.0))
    np.testing.assert_allclose(freed, 200.0)
    np.testing.assert_allclose(negative_bound(model, Y, X, eps, 1e-6).kl.mean(), plain.mean(), rtol=1e-4)
    slope = nnx.grad(lambda m: negative_bound(m, Y, X, eps, 100.0).kl.mean())(model)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(slope))


def test_schedules():
    np.testing.assert_allclose(beta_schedule(2.0, 4), 2.0)
    np.testing.assert_allclose(beta_schedule(2.0, 4, 1.0), [0, 0.5, 1, 1.5])


# --- Generation and likelihoods ---


def test_a_cold_sample_is_the_mean_of_the_prior():
    model = tiny()
    cold = sample(model, X, KEY, 0.0)
    np.testing.assert_allclose(cold, jax.nn.sigmoid(model.decode(model.prior(X).mean, X)), rtol=1e-5)
    np.testing.assert_array_equal(sample(model, X, KEY), sample(model, X, KEY))
    assert not np.allclose(sample(model, X, jax.random.key(1)), sample(model, X, KEY))


def test_an_edit_to_the_same_attributes_is_the_reconstruction():
    model = tiny()
    again = jax.nn.sigmoid(model.decode(model.recognise(Y, X).mean, X))
    for mode in ("latent", "prior"):
        np.testing.assert_allclose(edit(model, Y, X, X, mode), again, rtol=1e-4)
    assert not np.allclose(edit(model, Y, X, 1 - X, "prior"), edit(model, Y, X, 1 - X, "latent"))
    plain = tiny(prior="normal")
    np.testing.assert_allclose(edit(plain, Y, X, 1 - X, "prior"), edit(plain, Y, X, 1 - X), rtol=1e-5)


def test_interpolation_ends_where_it_should():
    model = tiny()
    z, x = RNG.normal(size=(2, 2)), X[:2]
    line = interpolate(model, (z[0], z[1]), (x[0], x[1]), 5)
    np.testing.assert_allclose(line[jnp.array([0, -1])], jax.nn.sigmoid(model.decode(z, x)), rtol=1e-4)
    assert line.shape == (5, 4, 4, 1)


def test_diversity_and_novelty():
    assert diversity(np.ones((3, 2, 4))) == 0
    known = RNG.random((5, 4, 4, 1))
    np.testing.assert_allclose(nearest_distances(known[[3, 1]], known), 0, atol=1e-6)
    moved = known[:1] + 0.01
    np.testing.assert_allclose(nearest_distances(moved, known), 0.04, rtol=1e-4)


def test_likelihoods_approach_the_exact_integral():
    model = CVAE((4, 4, 1), 3, 1, architecture=TINY, rngs=nnx.Rngs(3))
    y = (Y > 0.5).astype(np.float32)
    grid = np.linspace(-8, 8, 801, dtype=np.float32)
    of = model.prior(X)

    def at(z):
        z = jnp.full((6, 1), z)
        return model.likelihood.log_prob(y, model.decode(z, X)) + log_density(z, of)

    exact = jax.nn.logsumexp(jax.lax.map(at, grid), axis=0) + np.log(grid[1] - grid[0])
    np.testing.assert_allclose(conditional_log_likelihood(model, y, X, KEY, 4000, "prior"), exact, atol=0.2)
    found = conditional_log_likelihood(model, y, X, KEY, 4000)  # an untrained q may miss what explains an image
    assert (found < exact + 0.2).all() and np.median(np.abs(found - exact)) < 0.1
    many = [elbo(model, y, X, jax.random.key(i))[1] for i in range(20)]
    bound = -np.mean([terms.reconstruction + terms.kl for terms in many], axis=0)
    assert (bound < exact + 0.2).all() and (bound < exact).mean() > 0.5


def test_accuracy_counts_attributes():
    assert attribute_accuracy(np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([[1, 0], [0, 1]])) == 0.75


# --- Images ---


@pytest.mark.parametrize("make, draw", [(attribute_faces, draw_faces), (attribute_birds, draw_birds)])
def test_every_attribute_shows_and_coins_are_fair(make, draw):
    drawn = make(KEY, 600)
    assert drawn.images.dtype == np.uint8 and drawn.images.shape == (600, 16, 16, 3)
    assert (abs(drawn.attributes.mean(0) - 0.5) < 0.1).all()
    assert (abs(np.corrcoef(drawn.attributes.T) - np.eye(6)) < 0.15).all()
    without = draw(KEY, np.zeros((1, 6), int)).astype(float)
    for one in np.eye(6, dtype=int):
        assert abs(draw(KEY, one[None]).astype(float) - without).max() > 40  # bytes; nothing else differs
    np.testing.assert_array_equal(make(KEY, 3).images, make(KEY, 3).images)
    assert make(KEY, 0).images.shape == (0, 16, 16, 3)


def test_unseen_combinations_are_whole_combinations():
    attributes = attribute_faces(KEY, 500).attributes
    held = unseen_combinations(attributes, 0.2, KEY)
    rows = {tuple(row) for row in attributes[held]}
    assert len(rows) == 13 and not rows & {tuple(row) for row in attributes[~held]}


def test_celeba_is_read_from_its_files(tmp_path, monkeypatch):
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        Image.new("RGB", (178, 218), (200, 10, 10)).save(folder / "img_align_celeba" / name)
    (folder / "list_attr_celeba.txt").write_text("3\nBald Smiling\n1.jpg -1  1\n2.jpg 1 -1\n3.jpg 1 1\n")
    (folder / "list_eval_partition.txt").write_text("1.jpg 0\n2.jpg 2\n3.jpg 0\n")
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    train = celeba("train", 8)
    assert train.images.shape == (2, 8, 8, 3) and train.attributes.tolist() == [[0, 1], [1, 1]]
    assert train.names == ("Bald", "Smiling") and celeba("test", 8, 1).attributes.tolist() == [[1, 0]]
    with pytest.raises(DatasetCorrupt, match="has 1 images in its part test; 2 are asked for"):
        celeba("test", 8, 2)
    (folder / "bad.txt").write_text("1\nBald\n1.jpg 2\n")
    with pytest.raises(DatasetCorrupt, match="each -1 or 1"):
        read_attributes(folder / "bad.txt")


def test_missing_celeba_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("QUIRE_CACHE", str(tmp_path))
    with pytest.raises(DatasetUnavailable, match="celeba"):
        open_images(replace(PRESETS["paper"], n_train=2, n_test=1), KEY)


# --- The study and its presets ---


def test_the_study_in_small_has_every_score():
    recipe = Recipe(3, 8, 1e-3, optimiser="adam")
    training = Training(2, Architecture("mlp", (6,), (5,)), recipe=recipe)
    preset = replace(PRESETS["quick"], n_train=40, n_test=30, training=training, probe=recipe, draws=2, n_scored=4)
    study = cvae_study(preset, KEY)
    assert set(study["scores"]) == {"beta 0.1", "beta 1", "beta 4", "beta 16", "normal prior", "VAE"}
    assert all(np.isfinite(value).all() for scores in study["scores"].values() for value in scores.values())
    assert study["temperatures"]["diversity"][0] == 0 and study["likelihoods"]["bound"].shape == (4,)
    assert set(study["unseen"]) == {"seen", "unseen"} and set(study["told apart"]) == set(training.betas)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_trace_a_step_of_every_model(name):
    preset = PRESETS[name]
    side, n_attr = preset.side, 6 if preset.image_set == "faces" else 40
    make = builders(preset, (side, side, 3), n_attr)
    y = jax.ShapeDtypeStruct((preset.training.recipe.batch_size, side, side, 3), "float32")
    x = jax.ShapeDtypeStruct((y.shape[0], n_attr), "float32")
    weights = jax.ShapeDtypeStruct((2,), "float32")

    def step(y, x, weights):
        model = make["learned"](nnx.Rngs(0))
        noise = jnp.zeros((len(x), preset.training.z_dim))
        return nnx.value_and_grad(lambda model: cvae_loss(model, Batch(y, x, noise, noise, weights), KEY))(model)[0]

    assert jax.eval_shape(step, y, x, weights).shape == ()
    image = jax.eval_shape(lambda x: make["deterministic"](nnx.Rngs(0))(x), x)
    assert image.shape == y.shape


# --- Errors ---


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: CVAE((4, 4, 1), 3, 0, rngs=nnx.Rngs(0)), "z_dim is 0; it must be at least 1"),
        (lambda: CVAE((4, 4, 1), 0, 2, rngs=nnx.Rngs(0)), "prior is 'learned' with 0 attributes"),
        (lambda: CVAE((4, 4, 1), 3, 2, prior="flat", rngs=nnx.Rngs(0)), "prior is 'flat'"),
        (lambda: CVAE((6, 4, 1), 3, 2, architecture=Architecture("conv", (4, 4)), rngs=nnx.Rngs(0)), "multiples of 4"),
        (lambda: AttributeDecoder((4, 4, 1), 0, rngs=nnx.Rngs(0)), "n_attr is 0"),
        (lambda: Architecture("cnn"), "kind is 'cnn'; it must be mlp or conv"),
        (lambda: Architecture("conv", ()), "widths is empty"),
        (lambda: Likelihood("poisson"), "kind is 'poisson'"),
        (lambda: Likelihood("gaussian", 0.0), "variance is 0.0; it must be positive"),
        (lambda: Likelihood().log_prob(np.zeros((2, 3)), np.zeros((2, 1))), r"y has shape \(2, 3\), logits \(2, 1\)"),
        (lambda: tiny().prior(X[:, :2]), r"x has shape \(6, 2\); it needs rows of 3 attributes"),
        (lambda: tiny().prior(2 * np.ones((1, 3))), "x runs from 2 to 2; it must lie in"),
        (lambda: tiny().prior(np.full((1, 3), np.nan)), "x runs from nan to nan"),
        (lambda: tiny().recognise(Y * 255, X), "y runs from"),
        (lambda: tiny().recognise(Y[:, :3], X), r"y has shape \(6, 3, 4, 1\)"),
        (lambda: tiny().recognise(Y[:3], X), "y has 3 images, x 6 rows"),
        (lambda: tiny().decode(np.zeros((6, 3)), X), r"z has shape \(6, 3\); it needs \(6, 2\)"),
        (lambda: elbo(tiny(), Y, X, KEY, -1.0), "beta is -1.0; it must be at least 0"),
        (lambda: elbo(tiny(), Y, X, KEY, free_bits=-1.0), "free_bits is -1.0"),
        (lambda: hybrid_loss(tiny(), Y, X, KEY, 1.5), "alpha is 1.5"),
        (lambda: beta_schedule(1.0, 0), "steps is 0"),
        (lambda: beta_schedule(1.0, 5, 2.0), "warmup is 2.0"),
        (lambda: sample(tiny(), X, KEY, -0.1), "temperature is -0.1"),
        (lambda: edit(tiny(), Y, X, X, "both"), "mode is 'both'"),
        (lambda: edit(tiny(), Y, X, X[:3]), r"x has shape \(6, 3\), x_new \(3, 3\)"),
        (lambda: interpolate(tiny(), (np.zeros(2),) * 2, (X[0],) * 2, 1), "count is 1"),
        (lambda: diversity(np.zeros((1, 3))), "at least two draws"),
        (lambda: nearest_distances(Y, Y[:, :2]), "images of one shape"),
        (lambda: log_weights(tiny(), Y, X, np.zeros((2, 6, 3))), r"eps has shape \(2, 6, 3\)"),
        (lambda: conditional_log_likelihood(tiny(), Y, X, KEY, 0), "n is 0"),
        (lambda: conditional_log_likelihood(tiny(), Y, X, KEY, 2, "exact"), "method is 'exact'"),
        (lambda: log_mean(np.zeros((0, 3))), "number of draws is 0"),
        (lambda: gaussian_kl(*np.zeros((3, 2, 3)), np.zeros((2, 1))), "need one shape"),
        (lambda: log_density(np.zeros((2, 3)), Normal(np.zeros((2, 1)), np.zeros((2, 1)))), "as many coordinates"),
        (lambda: attribute_accuracy(np.zeros((2, 3)), np.zeros((2, 2))), "need one shape"),
        (lambda: attribute_accuracy(np.full((2, 3), np.nan), np.zeros((2, 3))), "logits has 6 numbers that are not finite"),
        (lambda: draw_faces(KEY, np.full((1, 6), 2)), "rows of six zeros and ones"),
        (lambda: draw_birds(KEY, np.zeros((1, 5), int)), "rows of six zeros and ones"),
        (lambda: attribute_faces(KEY, -1), "n is -1"),
        (lambda: unseen_combinations(np.zeros((5, 2)), 0.2, KEY), "of 1 combinations"),
        (lambda: Training(betas=(1.0, 0.1, 4.0)), "they must rise"),
        (lambda: Training(betas=(1.0, 4.0)), "they must rise and hold"),
        (lambda: Training(alpha=1.0), "alpha is 1.0"),
        (lambda: celeba("all", 8), "split is 'all'"),
        (lambda: open_images(replace(PRESETS["quick"], image_set="cars"), KEY), "image_set is 'cars'"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
