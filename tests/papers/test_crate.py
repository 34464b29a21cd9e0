"""CRATE: golden vectors of the authors' modules, the mathematics as properties, layers, classifier, diagnostics."""

import re
from dataclasses import replace

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings

from quire.common.layers.crate import (
    MSSA,
    CRATEBlock,
    CRATEDecoderBlock,
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
from quire.common.layers.patches import sincos_positions_2d
from quire.common.testing import (
    assert_close,
    assert_equivariant,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
    max_relative_error,
)
from quire.crate import brute_force
from quire.crate.ablations import AblationBlock, ablated, sweep
from quire.crate.benchmark import three_product_layer
from quire.crate.classifier import BASE, CRATE, LARGE, SMALL, TINY, CRATEConfig, ViT, parameter_count
from quire.crate.config import QUICK
from quire.crate.convert import (
    load_classifier,
    load_decoder,
    load_encoder,
    load_ista,
    load_mssa,
)
from quire.crate.denoising import gradient_step, noisy_tokens, off_subspace_energy, orthogonal_subspaces, shrunk_like, trajectory
from quire.crate.diagnostics import class_attention, classifier_report, layer_report, patch_components
from quire.crate.language_model import (
    CRATELM,
    CRATELMConfig,
)
from quire.crate.layer import unrolled_layer
from quire.crate.masked_autoencoder import random_mask
from quire.crate.stacks import CRATEDecoder, CRATEEncoder
from quire.crate.training import classification_loss

PRECISIONS = pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-9), (jnp.float32, 1e-5)], ids=["f64", "f32"])
SMALL_IMAGES = CRATEConfig(16, 2, 4, image_size=(8, 8), patch_size=4, channels=1, num_classes=3)
SMALL_LM = CRATELMConfig(16, 2, 2, max_length=12, vocab_size=257)


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("crate")


@pytest.fixture(scope="module")
def heads(vectors):
    return len(vectors["theory/U"])


def weights(vectors, case):
    return {name.removeprefix("param/"): x for name, x in vectors.case(case).items() if name.startswith("param/")}


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


# --- Golden vectors ---


@PRECISIONS
def test_golden_mssa(vectors, heads, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        module = load_mssa(weights(vectors, "mssa"), heads, dtype=dtype)
        assert_close(module(jnp.asarray(vectors["mssa/x"], dtype)), vectors["mssa/y"], tolerance)


@PRECISIONS
def test_golden_ista(vectors, dtype, tolerance):
    case = vectors.case("ista")
    outputs = {"y": float(case["lambda"])} | {n: float(n.removeprefix("y_lambda")) for n in case if n.startswith("y_lambda")}
    assert len(outputs) > 1
    with jax.enable_x64(dtype == jnp.float64):
        for name, lam in outputs.items():
            module = load_ista(weights(vectors, "ista"), eta=float(case["eta"]), lam=lam, dtype=dtype)
            assert_close(module(jnp.asarray(case["x"], dtype)), case[name], tolerance)


@PRECISIONS
def test_golden_encoder_and_its_report(vectors, heads, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        encoder = load_encoder(weights(vectors, "stack"), heads, dtype=dtype)
        x = jnp.asarray(vectors["stack/x"], dtype)
        assert_close(encoder(x), vectors["stack/y"], tolerance)
        report = layer_report(encoder, x)
        rates = jnp.stack([report["coding_rate"], report["coding_rate_std"]], axis=1)
        assert_close(rates, vectors["stack/coding_rate_mean_std"], tolerance)
        flips = 0 if dtype == jnp.float64 else 3  # values within rounding of zero fall on either side of it
        np.testing.assert_allclose(report["zero_fraction"], vectors["stack/zero_fraction"], atol=flips / x.size + 1e-12)
        assert report["zero_fraction"].dtype == dtype


@PRECISIONS
def test_golden_decoder(vectors, heads, dtype, tolerance):
    case = vectors.case("decoder_block")
    with jax.enable_x64(dtype == jnp.float64):
        for name, softmax in (("y", True), ("y_linear_attention", False)):
            decoder = load_decoder(weights(vectors, "decoder_block"), heads, softmax=softmax, dtype=dtype)
            assert_close(decoder(jnp.asarray(case["x"], dtype)), case[name], tolerance)


@PRECISIONS
def test_golden_classifier(vectors, heads, dtype, tolerance):
    images = np.moveaxis(vectors["classifier/img_nchw"], 1, -1)
    with jax.enable_x64(dtype == jnp.float64):
        for name, pool in (("logits", "cls"), ("logits_meanpool", "mean")):
            model = load_classifier(
                weights(vectors, "classifier"),
                heads,
                image_size=images.shape[1:3],
                channels=images.shape[-1],
                pool=pool,
                dtype=dtype,
            )
            assert_close(model(jnp.asarray(images, dtype)), vectors[f"classifier/{name}"], tolerance)


def test_golden_positions(vectors):
    for name, expected in vectors.case("sincos2d").items():
        dim, grid, cls = re.fullmatch(r"dim(\d+)_grid(\d+)(_cls)?", name).groups()
        assert_close(sincos_positions_2d(int(grid), int(grid), int(dim), cls=cls is not None), expected, 1e-6)


def test_golden_parameter_counts(vectors):
    sizes = {"tiny": TINY, "small": SMALL, "base": BASE, "large": LARGE}
    for name, count in vectors.case("params").items():
        assert parameter_count(lambda rngs, name=name: CRATE(sizes[name], rngs=rngs)) == count


@PRECISIONS
def test_golden_theory(vectors, dtype, tolerance):
    case = vectors.case("theory")
    eps, kappa, lam, eta = (float(case[name]) for name in ("eps", "kappa", "lambda", "eta"))
    with jax.enable_x64(dtype == jnp.float64):
        Z, U, D = (jnp.asarray(x, dtype) for x in (case["Z"].T, case["U"], case["D"]))
        results = {
            "R": coding_rate(Z, eps),
            "Rc": coding_rate_subspaces(Z, U, eps),
            "grad_Rc": coding_rate_subspaces_grad(Z, U, eps).T,
            "grad_Rc_neumann1": coding_rate_subspaces_grad_neumann(Z, U, eps).T,
            "MSSA": mssa(Z, U, eps).T,
            "Z_half": mssa_step(Z, U, eps, kappa).T,
            "sparse_rate_reduction_l0": sparse_rate_reduction(Z, U, eps, lam),
            "ista_step": ista_step(Z, D, eta, lam).T,
        }
        for name in case:
            if descent := re.fullmatch(r"Rc_descent_lr([\d.]+)", name):
                states = trajectory(lambda z, lr=float(descent[1]): gradient_step(z, U, eps, lr), Z, len(case[name]) - 1)
                results[name] = jnp.stack([coding_rate_subspaces(z, U, eps) for z in states])
        for name, value in results.items():
            assert max_relative_error(value, case[name]) <= tolerance, name
        assert set(case) == set(results) | {"Z", "U", "D", "eps", "kappa", "lambda", "eta"}


def test_every_golden_array_is_compared(vectors):
    """Parameters are loaded strictly, and the tests above go through `sincos2d`, `params`, `theory` and the y's of `ista`."""
    compared = {
        "mssa": {"x", "y"},
        "ista": {"x", "eta", "lambda", "y"},
        "stack": {"x", "y", "coding_rate_mean_std", "zero_fraction"},
        "decoder_block": {"x", "y", "y_linear_attention"},
        "classifier": {"img_nchw", "logits", "logits_meanpool"},
    }
    assert {name.split("/")[0] for name in vectors.arrays} == {*compared, "sincos2d", "params", "theory"}
    for case, names in compared.items():
        found = {name for name in vectors.case(case) if not name.startswith(("param/", "y_lambda"))}
        assert found == names


# --- Rates and steps ---


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), tokens=st.sampled_from([3, 9]), eps=st.floats(0.2, 2))
def test_coding_rate_is_invariant_and_matches_its_definition(seed, tokens, eps):
    Z = normal(seed, tokens, 6)
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((6, 6)))[0].astype(np.float32)
    assert_close(coding_rate(Z, eps), brute_force.rate(np.asarray(Z, float).T, eps), 1e-4)
    assert_equivariant(lambda z: coding_rate(z, eps), Z, elements=[rotation], act_in=lambda g, z: z @ g, tolerance=1e-4)
    U = orthogonal_subspaces(jax.random.key(seed), 2, 6, 3)
    turned = jnp.einsum("ed,kep->kdp", rotation, U)
    assert_close(coding_rate_subspaces(Z @ rotation, turned, eps), coding_rate_subspaces(Z, U, eps), 1e-4)


def test_gradient_of_the_rate_is_its_derivative():
    Z, U = normal(0, 5, 6), orthogonal_subspaces(jax.random.key(1), 2, 6, 3)
    assert_close(jax.grad(coding_rate_subspaces)(Z, U, 0.7), coding_rate_subspaces_grad(Z, U, 0.7), 1e-5)
    assert_gradients(lambda z: coding_rate_subspaces(jnp.asarray(z), jnp.asarray(U, z.dtype), 0.7), Z)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), lam=st.floats(0, 1), factor=st.floats(0.05, 1))
def test_ista_lowers_the_lasso(seed, lam, factor):
    with jax.enable_x64():
        rng = np.random.default_rng(seed)
        D, Z = jnp.asarray(rng.standard_normal((6, 6))), jnp.asarray(rng.standard_normal((4, 6)))
        s = jnp.asarray(np.abs(rng.standard_normal((4, 6))))
        after = ista_step(Z, D, float(factor / np.linalg.norm(D, 2) ** 2), lam, start=s)
        assert float(after.min()) >= 0
        assert float(lasso_objective(after, Z, D, lam)) <= float(lasso_objective(s, Z, D, lam)) + 1e-12


def test_unrolled_layer_is_the_two_steps():
    Z, U, D = normal(0, 7, 8), orthogonal_subspaces(jax.random.key(1), 2, 8, 4), normal(2, 8, 8) / 3
    z = np.asarray(Z, float).T
    step = 0.2 * 4 / (7 * 0.8**2)
    half = (1 - step) * z + step * brute_force.mssa(z, np.asarray(U, float), 0.8)
    expected = brute_force.ista(half, np.asarray(D, float), 0.1, 0.3).T
    assert_close(unrolled_layer(Z, U, D, eps=0.8, kappa=0.2, eta=0.1, lam=0.3), expected, 1e-5)


def test_theory_batches():
    Z, U = normal(0, 3, 5, 6), orthogonal_subspaces(jax.random.key(1), 2, 6, 3)
    for function in (
        lambda z: coding_rate(z, 0.5),
        lambda z: coding_rate_subspaces(z, U, 0.5),
        lambda z: coding_rate_subspaces_grad(z, U, 0.5),
        lambda z: mssa_step(z, U, 0.5, 0.1),
    ):
        assert_close(function(Z), jnp.stack([function(z) for z in Z]), 1e-5)
    assert_vmap_consistent(lambda z: coding_rate_subspaces(z, U, 0.5), Z)
    assert_jit_consistent(lambda z: mssa_step(z, U, 0.5, 0.1), Z)


def test_denoising_data(as_installed):
    U = orthogonal_subspaces(jax.random.key(0), 3, 12, 4)
    flat = np.asarray(U.swapaxes(0, 1).reshape(12, -1))
    assert_close(flat.T @ flat, np.eye(12), 1e-5)
    clean, labels = noisy_tokens(jax.random.key(1), U, 9, noise=0.0)
    assert_close(jnp.linalg.norm(clean, axis=-1), np.ones(9), 1e-5)
    assert float(off_subspace_energy(clean, U, labels)) < 1e-10
    mixed = clean + 0.5 * jnp.roll(clean, 1, axis=0)  # half of a token from the next subspace: a quarter of its energy
    assert_close(off_subspace_energy(mixed, U, labels), 0.25, 1e-5)
    assert_close(jnp.linalg.norm(shrunk_like(mixed, clean)), 3.0, 1e-5)
    assert not np.asarray(shrunk_like(0 * clean, clean)).any()
    for message, call in (
        (
            "num_subspaces \\* sub_dim is 16; .* of R\\^12",
            lambda: orthogonal_subspaces(jax.random.key(0), 4, 12, 4),
        ),
        ("num_subspaces is 0", lambda: orthogonal_subspaces(jax.random.key(0), 0)),
        ("num_tokens is 0", lambda: noisy_tokens(jax.random.key(0), U, 0)),
        ("noise is -1.0", lambda: noisy_tokens(jax.random.key(0), U, 9, -1.0)),
        ("labels runs from 1 to 3", lambda: off_subspace_energy(clean, U, labels + 1)),
        ("labels has shape \\(1,\\)", lambda: off_subspace_energy(clean, U, labels[:1])),
        ("eta is -0.1", lambda: ista_step(clean, np.eye(12), -0.1, 0.1)),
        ("lam is -1.0", lambda: CRATEBlock(8, 2, lam=-1.0, rngs=nnx.Rngs(0))),
        ("removed is 17; it must lie between 0 and 16", lambda: random_mask(jax.random.key(0), 2, 16, 17)),
        ("label_smoothing is -1", lambda: classification_loss(-1, 10)),
    ):
        with pytest.raises(ValueError, match=message):
            call()


# --- Layers ---


@pytest.mark.parametrize("make", [CRATEBlock, CRATEDecoderBlock])
def test_layers_are_permutation_equivariant(make):
    block = make(8, 2, rngs=nnx.Rngs(0))
    orders = [np.random.default_rng(i).permutation(6) for i in range(3)]
    assert_equivariant(
        block, normal(0, 2, 6, 8), elements=orders, act_in=lambda g, x: x[:, g], act_out=lambda g, y: y[:, g], tolerance=1e-5
    )


@pytest.mark.parametrize("make", [CRATEBlock, CRATEDecoderBlock, AblationBlock])
def test_layers_under_jit_and_vmap(make):
    block = make(8, 2, rngs=nnx.Rngs(0))
    assert_jit_consistent(block, normal(0, 2, 6, 8))
    assert_vmap_consistent(block, normal(0, 2, 6, 8))


def test_encoder_layer_is_the_authors_formula():
    block = CRATEBlock(8, 2, eta=0.2, lam=0.3, rngs=nnx.Rngs(0))
    parameters = [block.attention.qkv.kernel, block.attention.out.kernel, block.attention.out.bias, block.ista.weight]
    x = normal(1, 5, 8)
    expected = brute_force.encoder_layer(np.asarray(x, float), *(np.asarray(p[...], float) for p in parameters), 2, 0.2, 0.3)
    assert_close(block(x), expected, 1e-5)
    assert_close(three_product_layer(block, x), block(x), 1e-5)


def test_stacks_and_single_head():
    x = normal(0, 2, 5, 8)
    assert CRATEDecoder(8, 2, 2, rngs=nnx.Rngs(0))(CRATEEncoder(8, 2, 2, rngs=nnx.Rngs(0))(x)).shape == x.shape
    assert MSSA(8, 1, rngs=nnx.Rngs(0)).out is None
    for message, sizes in (
        ("dim is 8 and num_heads 3", (8, 1, 3)),
        ("depth is -1", (8, -1, 2)),
        ("num_heads is -2", (8, 1, -2)),
    ):
        for stack in (CRATEEncoder, CRATEDecoder):
            with pytest.raises(ValueError, match=message):
                stack(*sizes, rngs=nnx.Rngs(0))


def test_initial_weights_have_the_authors_ranges():
    block = CRATEBlock(64, 4, rngs=nnx.Rngs(0))
    for parameter, bound in (
        (block.attention.qkv.kernel, 1 / 8),
        (block.attention.out.kernel, 1 / 8),
        (block.ista.weight, 6**0.5 / 8),
    ):
        assert 0.95 * bound < float(jnp.abs(parameter[...]).max()) <= bound


# --- Classifier and ablations ---


def test_classifier_and_vit():
    images = normal(0, 2, 8, 8, 1)
    assert CRATE(SMALL_IMAGES, rngs=nnx.Rngs(0))(images).shape == (2, 3)
    digits = QUICK.classifier
    counts = [parameter_count(lambda r, make=make: make(digits, rngs=r)) for make in (CRATE, ViT)]
    assert counts == [23274, 86202]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_size": 3}, "patch_size is 3; it must divide the image of 8 x 8"),
        ({"pool": "max"}, "pool is 'max'; it must be 'cls' or 'mean'"),
        ({"num_heads": 3}, "dim is 16 and num_heads 3"),
    ],
)
def test_classifier_errors(change, message):
    with pytest.raises(ValueError, match=message):
        CRATE(replace(SMALL_IMAGES, **change), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="this model reads \\(8, 8, 1\\)"):
        CRATE(SMALL_IMAGES, rngs=nnx.Rngs(0))(normal(0, 2, 8, 8, 3))


def test_ablations_end_in_the_two_models():
    images = normal(0, 2, 8, 8, 1)
    for attention, sparsifier, whole in (("mssa", "ista", CRATE), ("mhsa", "mlp", ViT)):
        model = ablated(SMALL_IMAGES, attention=attention, sparsifier=sparsifier, rngs=nnx.Rngs(3))
        assert_close(model(images), whole(SMALL_IMAGES, rngs=nnx.Rngs(3))(images), 1e-6)
    counts = [
        parameter_count(lambda r, a=a, s=s: ablated(SMALL_IMAGES, attention=a, sparsifier=s, rngs=r))
        for a, s in (("mssa", "ista"), ("mhsa", "ista"), ("mssa", "mlp"))
    ]
    wide = replace(SMALL_IMAGES, head_dim=5)  # 4 heads of 5 channels on a width of 16
    for attention, sparsifier, whole in (("mssa", "ista", CRATE), ("mhsa", "mlp", ViT)):
        build = lambda r, a=attention, s=sparsifier: ablated(wide, attention=a, sparsifier=s, rngs=r)  # noqa: E731
        assert parameter_count(build) == parameter_count(lambda r, whole=whole: whole(wide, rngs=r))
        assert parameter_count(build) > parameter_count(lambda r, whole=whole: whole(SMALL_IMAGES, rngs=r))
    assert np.diff(counts[:2])[0] == 2 * 2 * 16**2
    assert counts[2] - counts[0] == 2 * (8 * 16**2 + 5 * 16 - 16**2)
    assert len({(c.eta, c.lam) for c in sweep(SMALL_IMAGES, (0.1, 0.2), (0.0, 0.3))}) == 4
    for name in ("attention", "sparsifier"):
        with pytest.raises(ValueError, match=f"{name} is 'none'"):
            AblationBlock(8, 2, **{name: "none"}, rngs=nnx.Rngs(0))


# --- Diagnostics ---


def test_layer_report_of_every_kind_of_model():
    images, tokens = normal(0, 3, 8, 8, 1), jnp.arange(24).reshape(2, 12)
    for model, x, depth in (
        (CRATE(SMALL_IMAGES, rngs=nnx.Rngs(0)), images, 2),
        (CRATELM(SMALL_LM, rngs=nnx.Rngs(0)), tokens, 2),
        (CRATEEncoder(8, 11, 2, rngs=nnx.Rngs(0)), normal(0, 2, 4, 8), 11),
    ):
        report = layer_report(model, x)
        assert {name: values.shape for name, values in report.items()} == dict.fromkeys(report, (depth,))
    with pytest.raises(ValueError, match="model is a TokenClassifier without ISTA layers"):
        layer_report(ViT(SMALL_IMAGES, rngs=nnx.Rngs(0)), images)


def test_layer_report_follows_the_order_of_layers():
    encoder, x = CRATEEncoder(8, 11, 2, rngs=nnx.Rngs(0)), normal(0, 2, 4, 8)
    fractions = []
    for block in encoder.blocks:
        x = block(x)
        fractions.append(jnp.mean((x == 0).astype(jnp.float32)))
    assert_close(layer_report(encoder, normal(0, 2, 4, 8))["zero_fraction"], jnp.stack(fractions), 1e-6)


def test_report_of_a_classifier_in_one_pass():
    images, model = normal(0, 3, 8, 8, 1), CRATE(SMALL_IMAGES, rngs=nnx.Rngs(0))
    parts = [lambda x: layer_report(model, x), lambda x: (model.features(x)[:, 0], class_attention(model, x)[-1])]
    layers, (tokens, maps) = (part(images) for part in parts)
    found = classifier_report(model, images)
    assert_close(found, layers | {"class_tokens": tokens, "class_attention": maps}, 1e-5)


def test_projection_rate_of_zero_tokens():
    projections = normal(0, 2, 3, 5, 4).at[:, :, 2].set(0)
    rate = projection_rate(projections)
    assert bool(jnp.isfinite(rate).all())
    # as the definition, token by token
    unit = np.asarray(projections[0, 0], float)
    norms = np.linalg.norm(unit, axis=-1, keepdims=True)
    unit = unit / np.where(norms > 0, norms, 1)
    one = 0.5 * np.linalg.slogdet(np.eye(5) + 4 / (5 * 0.01) * unit @ unit.T)[1]
    assert_close(projection_rate(projections[0, :1]), one, 1e-5)
    with pytest.raises(ValueError, match="eps is 0"):
        projection_rate(projections, 0.0)


def test_class_attention_and_components(as_installed):
    images = normal(0, 3, 8, 8, 1)
    for make in (CRATE, ViT):
        maps = class_attention(make(SMALL_IMAGES, rngs=nnx.Rngs(0)), images)
        assert maps.shape == (2, 3, 4, 2, 2)
        assert float(maps.sum((-1, -2)).max()) < 1 and float(maps.min()) >= 0
    tokens = normal(1, 3, 7, 5) * jnp.array([3.0, 1, 1, 0.1, 0.1]).reshape(1, 1, 5)
    components = np.asarray(patch_components(tokens)).reshape(-1, 3)
    spectrum = np.linalg.svd(np.asarray(tokens).reshape(-1, 5) - np.asarray(tokens).reshape(-1, 5).mean(0))[1][:3]
    assert_close(np.linalg.norm(components, axis=0), spectrum, 1e-4)
    assert_close(components.T @ components, np.diag(spectrum**2), 1e-4)
    whole_numbers = np.arange(12).reshape(1, 4, 3) ** 2 % 7
    assert_close(patch_components(whole_numbers.astype(np.uint8)), patch_components(whole_numbers.astype(np.float32)), 1e-6)
    for message, call in (
        ("count is 6; tokens of 5 channels", lambda: patch_components(tokens, 6)),
        ("components need at least one token", lambda: patch_components(tokens[:0])),
    ):
        with pytest.raises(ValueError, match=message):
            call()
