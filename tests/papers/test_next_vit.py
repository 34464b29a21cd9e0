"""Next-ViT: golden vectors, blocks against loops, training mode, folding, converters, costs, ablations, errors, presets."""

import re
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.data.images import ImageData, ImageSplit
from quire.common.errors import DatasetUnavailable
from quire.common.layers.intermediates import capture
from quire.common.metrics import cost as traced
from quire.common.random import generator
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes
from quire.next_vit import (
    BASE,
    EMHSA,
    LARGE,
    MHCA,
    NCB,
    NTB,
    PRESETS,
    SMALL,
    NextViT,
    NextViTConfig,
    PatchEmbed,
    PoolMixer,
    Stage,
    Style,
    ablations,
    attention_macs,
    average_pool,
    brute_force,
    costs,
    count_macs,
    count_params,
    from_timm,
    fuse_batchnorm,
    load_next_vit,
    load_state,
    make_divisible,
    randomise,
    reduce_tokens,
    torch_names,
    torch_state,
)
from quire.next_vit.claims import count_norms
from quire.next_vit.sources import _in_memory, open_images, thumbnails
from quire.next_vit.training import builders, logistic_regression, make_loss, scores, train

TINY = NextViTConfig(
    stages=(Stage(8, 1, 16, stride=1, sr_ratio=2), Stage(8, 0, 24)),
    stem=((4, 2), (8, 1)),
    head_dim=4,
    divisor=4,
    drop_path=0.0,
    num_classes=5,
)
"""c_t differs from c_c, 5 x 7 tokens leave three over, sides are odd, and the last stage begins with a transformer block."""


def nhwc(x):
    return jnp.asarray(np.asarray(x).transpose(0, 2, 3, 1))


def nchw(x):
    return np.asarray(x).transpose(0, 3, 1, 2)


def abstract(make):
    return nnx.eval_shape(lambda: make(nnx.Rngs(0)))


def forward(model, x):
    return model(x)


run = nnx.jit(forward)
"""Compiled whole, which takes less time than compiling small operations one by one."""


@cache
def tiny(config=TINY):
    """A random network with its state dictionary and images `[batch, channels, h, w]`."""
    model = randomise(NextViT(config, nnx.Rngs(0)), jax.random.key(1))
    images = generator(jax.random.key(2)).standard_normal((3, config.in_channels, 10, 14)).astype(np.float32)
    return model, torch_state(model), images


# --- Golden vectors ---


def module_of(name, state, head_dim):
    """A module of the sizes that the arrays of a golden case have."""
    sr = re.search(r"sr(\d+)", name)
    stride, ratio = 2 if "_s2" in name else 1, int(sr[1]) if sr else 1
    kind = name.split("_s")[0]
    if kind == "e_mhsa":
        return lambda rngs: EMHSA(len(state["q.weight"]), head_dim, ratio, rngs=rngs)
    if kind == "mhca":
        return lambda rngs: MHCA(len(state["projection.weight"]), head_dim, rngs=rngs)
    if kind == "patch_embed":
        after, before = state["conv.weight"].shape[:2]
        return lambda rngs: PatchEmbed(before, after, stride, rngs=rngs)
    hidden, after = state["mlp.conv1.weight"].shape[:2]
    first, before = state["patch_embed.conv.weight"].shape[:2] if "patch_embed.conv.weight" in state else (after, after)
    shared = {"stride": stride, "head_dim": head_dim, "hidden_dim": hidden}
    if kind == "ncb":
        return lambda rngs: NCB(before, after, **shared, rngs=rngs)
    first = len(state["e_mhsa.q.weight"])
    return lambda rngs: NTB(before, after, sr_ratio=ratio, attention_dim=first, **shared, rngs=rngs)


CASES = ("mhca", "patch_embed_s2", "ncb_s2", "e_mhsa_sr2", "ntb_sr2")


@pytest.mark.parametrize("x64", [True, False], ids=["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_golden_modules(golden, name, x64):
    vectors = golden("next_vit")
    case = vectors.case(name)
    state = {key.removeprefix("param/"): x for key, x in case.items() if key.startswith("param/")}
    head_dim = vectors["mhca/param/group_conv3x3.weight"].shape[1]
    with jax.enable_x64(x64):
        model = load_state(abstract(module_of(name, state, head_dim)), state, dtype=float)
        tokens = "x_bnc" in case
        x = jnp.asarray(case["x_bnc"], float) if tokens else nhwc(case["x_nchw"]).astype(float)
        expected = case["y_bnc" if tokens else "y_nchw"]
        tolerance = 1e-9 if x64 else 1e-4
        for each in [model] if tokens else [model, fuse_batchnorm(model)]:
            y = run(each, x)
            np.testing.assert_allclose(
                y if tokens else nchw(y), expected, rtol=tolerance, atol=tolerance * np.abs(expected).max()
            )
        if f"{name}/maxdiff_after_bn_fusion" in vectors:
            assert abs(float(vectors[f"{name}/maxdiff_after_bn_fusion"])) < 1e-12


@pytest.mark.parametrize(("name", "config"), [("small", SMALL), ("base", BASE), ("large", LARGE)])
def test_golden_sizes(golden, name, config):
    case = golden("next_vit").case(f"nextvit_{name}")
    plans = config.blocks
    assert count_params(config) == case["param_count"]
    np.testing.assert_array_equal([plan.after for plan in plans], case["stage_channels"])
    np.testing.assert_array_equal([plan.kind == "NTB" for plan in plans], case["block_is_ntb"])
    if "macs_224" in case:
        assert count_macs(config) == case["macs_224"]
        split = [(plan.attention_dim, plan.after - plan.attention_dim) for plan in plans if plan.kind == "NTB"]
        np.testing.assert_array_equal(split, case["ntb_mhsa_mhca_channels"])
        np.testing.assert_array_equal([plan.hidden_dim for plan in plans], case["mlp_hidden"])


# --- A whole network against loops ---


@pytest.mark.parametrize("config", [TINY, replace(TINY, extra_norms=True)], ids=["classifier", "extra norms"])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_network_is_its_definition(config, training):
    """Layouts, order of the norms, dropped tokens, odd edges, running statistics: through the authors' names."""
    _, state, images = tiny(config)
    with jax.enable_x64():
        model = load_next_vit(config, state, dtype=jnp.float64)
        theirs = {name: x.astype(float) for name, x in state.items()}
        logits, maps = brute_force.next_vit(theirs, config, images.astype(float), training)

        @nnx.jit
        def both(model, x):
            found = model.features(x, train=training)
            return found

        found = both(model, nhwc(images.astype(float)))
        for ours, reference in zip(found, maps, strict=True):
            assert_close(nchw(ours), reference, 1e-9)
        if not training:
            assert_close(run(model, nhwc(images.astype(float))), logits, 1e-9)
            return
        moved = torch_state(model)
        statistics = [name for name in moved if "running" in name and (config.extra_norms or not name.startswith("norm."))]
        assert len(statistics) >= 30
        for name in statistics:
            np.testing.assert_allclose(moved[name], theirs[name], rtol=1e-9, err_msg=name)


def test_golden_and_loops_agree(golden):
    """The loops themselves are held to the authors' vectors."""
    case = golden("next_vit").case("ntb_sr2")
    state = {key.removeprefix("param/"): x.astype(float) for key, x in case.items() if key.startswith("param/")}
    hidden, after = state["mlp.conv1.weight"].shape[:2]
    plan = replace(
        SMALL.blocks[-1], after=after, hidden_dim=hidden, attention_dim=len(state["e_mhsa.q.weight"]), stride=1, sr_ratio=2
    )
    state = {f"b.{name}": x for name, x in state.items()}
    head_dim = state["b.mhca.group_conv3x3.weight"].shape[1]
    y = brute_force.ntb(state, "b", case["x_nchw"].astype(float), plan, head_dim, False)
    assert_close(y, case["y_nchw"], 1e-9)


def test_tokens_are_averaged_along_rows_and_the_tail_is_dropped():
    x = np.random.default_rng(0).standard_normal((2, 11, 3)).astype(np.float32)
    np.testing.assert_allclose(reduce_tokens(jnp.asarray(x), 2), np.stack([x[:, :4].mean(1), x[:, 4:8].mean(1)], 1), rtol=1e-5)
    with pytest.raises(ValueError, match="sr_ratio is 4 and x has 11 tokens"):
        reduce_tokens(jnp.asarray(x), 4)


@pytest.mark.parametrize("shape", [(4, 4), (5, 7), (1, 3)])
def test_average_pool_counts_what_is_there(shape):
    x = np.random.default_rng(0).standard_normal((2, *shape, 3)).astype(np.float32)
    expected = brute_force.patch_embed({}, "", x.transpose(0, 3, 1, 2), 2, False)
    np.testing.assert_allclose(nchw(average_pool(jnp.asarray(x))), expected, rtol=1e-5, atol=1e-6)


def test_pool_mixer():
    x = np.random.default_rng(0).standard_normal((1, 3, 4, 2)).astype(np.float32)
    expected = np.stack([[x[0, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].mean((0, 1)) for j in range(4)] for i in range(3)])
    np.testing.assert_allclose(PoolMixer()(jnp.asarray(x))[0], expected - x[0], rtol=1e-5, atol=1e-6)


def test_attention_is_seen():
    layer = EMHSA(8, 4, 2, rngs=nnx.Rngs(0))
    weights = capture(layer, jnp.ones((1, 9, 8)))[1]["attention"][0]
    assert weights.shape == (1, 2, 9, 2)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)


# --- Stochastic depth ---


def test_branches_are_dropped_in_the_share_of_their_channels():
    """Where all branches but one are silenced, that one is dropped at its own rate; what is kept is scaled."""
    block = NTB(4, 8, head_dim=2, attention_dim=4, hidden_dim=4, drop_path_rate=0.8, mix_ratio=0.75, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2000, 2, 2, 4)), jnp.float32)
    silent = {"attention": block.e_mhsa.proj, "convolution": block.mhca.projection, "mlp": block.mlp.conv2}
    for kept, rate in (("attention", 0.6), ("convolution", 0.2), ("mlp", 0.8)):
        for name, layer in silent.items():
            layer.kernel[...] = jnp.ones_like(layer.kernel[...]) * (name == kept)
        stochastic, whole = (
            jax.jit(lambda block, x, key: block(x, train=True, key=key))(each, x, jax.random.key(3))
            for each in (block, _without_drops(block))
        )
        bare = x if kept == "attention" else None
        first = {"attention": slice(0, 4), "convolution": slice(4, 8), "mlp": slice(0, 8)}[kept]
        if bare is not None:
            branch, full = stochastic[..., first] - x, whole[..., first] - x
            dropped = np.asarray(jnp.abs(branch).max((1, 2, 3)) < 1e-6)
            np.testing.assert_allclose(branch[~dropped], full[~dropped] / (1 - rate), rtol=1e-4, atol=1e-5)
        else:
            same = np.asarray(jnp.abs(stochastic - whole)[..., first].max((1, 2, 3)))
            dropped = _dropped(stochastic[..., first], block, x, kept)
            assert (same > 0).mean() > 0.1
        assert abs(dropped.mean() - rate) < 0.05, kept


def _without_drops(block):
    block = nnx.clone(block)
    block.drop_path_rate = 0.0
    return block


def _dropped(out, block, x, kept):
    """Samples whose output is that of a block with this branch silenced too."""
    block = _without_drops(block)
    layer = block.mhca.projection if kept == "convolution" else block.mlp.conv2
    layer.kernel[...] = jnp.zeros_like(layer.kernel[...])
    bare = jax.jit(lambda block, x: block(x, train=True))(block, x)[..., 4:] if kept == "convolution" else None
    bare = jax.jit(lambda block, x: block(x, train=True))(block, x) if bare is None else bare
    return np.asarray(jnp.abs(out - bare).max((1, 2, 3)) < 1e-6)


def test_drop_path_rises_linearly():
    rates = [plan.drop_path for plan in SMALL.blocks]
    np.testing.assert_allclose(rates, np.linspace(0, 0.1, 20), atol=1e-12)
    assert BASE.blocks[-1].drop_path == LARGE.blocks[-1].drop_path == 0.2
    model = abstract(lambda rngs: NextViT(replace(TINY, drop_path=0.5), rngs))
    x = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    with pytest.raises(ValueError, match="key is None"):
        jax.eval_shape(lambda model, x: model(x, train=True), model, x)
    assert jax.eval_shape(forward, model, x).shape == (1, 5)  # evaluation needs no key
    assert model.blocks[-1].drop_path_rate == 0.5


# --- Folding ---


@pytest.mark.parametrize("x64", [True, False], ids=["float64", "float32"])
def test_folded_network_is_the_network(x64):
    with jax.enable_x64(x64):
        model, state, images = tiny()
        model = load_next_vit(TINY, state, dtype=float)
        fused = fuse_batchnorm(model)
        x = nhwc(images).astype(float)
        expected = run(model, x)
        assert_close(run(fused, x), expected, 1e-12 if x64 else 1e-4)
        assert (count_norms(model, x), count_norms(fused, x)) == (sum("running_mean" in name for name in state), 0)
        assert_close(run(model, x), expected, 0)  # the model stays as it is
    again = fuse_batchnorm(fused)
    assert count_params(TINY) > traced.count_params(again) == traced.count_params(fused)


def test_extra_norms_stay():
    model, _, images = tiny(replace(TINY, extra_norms=True))
    fused = fuse_batchnorm(model)
    maps = jax.jit(lambda model, x: model.features(x))
    assert_close(maps(fused, nhwc(images)), maps(model, nhwc(images)), 1e-4)
    assert count_norms(fused, nhwc(images)) == len(TINY.stages)


def test_only_batch_norms_fold(as_installed):
    with pytest.raises(ValueError, match="layer normalisation"):
        fuse_batchnorm(NCB(4, 4, head_dim=2, hidden_dim=4, style=Style("layer"), rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="model is Linear"):
        fuse_batchnorm(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))


# --- Weights of the authors and of timm ---


def counters(state):
    return {name.replace("running_mean", "num_batches_tracked"): np.array(7) for name in state if name.endswith("running_mean")}


@pytest.mark.parametrize("config", [TINY, replace(TINY, extra_norms=True)], ids=["classifier", "extra norms"])
def test_round_trip_under_the_released_names(config):
    _, state, _ = tiny(config)
    spare = {
        f"extra_norm_list.{len(config.stages) - 1}.{e}": np.ones(24) for e in ("weight", "bias", "running_mean", "running_var")
    }
    found = load_next_vit(config, state | counters(state) | (spare if config.extra_norms else {}))
    assert set(torch_state(found)) == set(state) == {name for source in torch_names(found).values() for name in source.names}
    for name, x in torch_state(found).items():
        np.testing.assert_array_equal(x, state[name])
    assert state["features.1.e_mhsa.q.weight"].shape == (12, 12)
    assert state["features.1.projection.conv.weight"].shape == (4, 12, 1, 1)
    assert state["features.0.mhca.group_conv3x3.weight"].shape == (8, 4, 3, 3)


def test_names_of_the_release():
    """Counted on the released architecture: no array is made."""
    names = torch_names(abstract(lambda rngs: NextViT(SMALL, rngs)))
    wanted = {name for source in names.values() for name in source.names}
    for name in (
        "stem.3.conv.weight",
        "features.0.patch_embed.conv.weight",
        "features.0.mhca.group_conv3x3.weight",
        "features.6.norm1.running_var",
        "features.6.e_mhsa.norm.weight",
        "features.6.projection.norm.bias",
        "features.19.mlp.conv2.bias",
        "norm.running_mean",
        "proj_head.0.bias",
    ):
        assert name in wanted
    assert "features.1.patch_embed.conv.weight" not in wanted  # channels and size stay
    assert "features.19.e_mhsa.norm.weight" not in wanted  # its attention is not reduced


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("features.0.norm.bias"), "missing: features.0.norm.bias"),
        (lambda s: s.update({"features.9.norm.bias": np.ones(8)}), "unexpected: features.9.norm.bias"),
        (lambda s: s.update({"norm.num_batches": np.array(1)}), "unexpected: norm.num_batches"),
        (lambda s: s.update({"stem.0.conv.weight": np.ones((4, 3, 3, 2))}), "stem.0.conv.weight is"),
        (lambda s: s.update({"features.0.mlp.conv1.weight": np.ones((24, 8, 3, 3))}), "features.0.mlp.conv1.weight is"),
    ],
)
def test_loading_is_strict(change, message):
    state = dict(tiny()[1])
    change(state)
    with pytest.raises(ValueError, match=re.escape(message)):
        load_next_vit(TINY, state)


def test_merged_checkpoints():
    """After the authors' `merge_bn` the norms before linear maps are folded, and their entries are still in the file."""
    model, state, images = tiny()
    fused, merged = torch_state(fuse_batchnorm(model)), dict(state)
    for name in state:
        if re.search(r"(e_mhsa\.[qkv]|mlp\.conv1)\.(weight|bias)$", name):
            merged[name] = fused[name]
    found = load_next_vit(TINY, merged | counters(state), merged=True)
    assert_close(run(found, nhwc(images)), run(model, nhwc(images)), 1e-4)
    without = {name: x for name, x in merged.items() if not re.search(r"\.norm[12]\.|e_mhsa\.norm|features\.\d\.norm\.", name)}
    assert len(without) < len(merged)
    load_next_vit(TINY, without, merged=True)
    with pytest.raises(ValueError, match="missing: "):
        load_next_vit(TINY, without)
    with pytest.raises(ValueError, match=r"unexpected: features\.0\.norm1\.bias"):
        load_next_vit(TINY, merged | {"features.0.norm1.bias": np.ones(8)}, merged=True)


def test_timm_names():
    _, state, _ = tiny()
    places = [f"stages.{s}.blocks.{j}." for s, pattern in enumerate(TINY.patterns) for j in range(len(pattern))]
    theirs = {}
    for name, x in state.items():
        name = re.sub(r"^features\.(\d+)\.", lambda m: places[int(m[1])], name).replace("proj_head.0", "head.fc")
        theirs[name.replace("mlp.conv", "mlp.fc")] = x
    assert set(from_timm(TINY, theirs)) == set(state)
    assert all(from_timm(TINY, theirs)[name] is x for name, x in state.items())
    with pytest.raises(ValueError, match=r"stages\.0\.blocks\.2\."):
        from_timm(TINY, {"stages.0.blocks.2.norm.weight": np.ones(3)})


# --- Costs ---


@pytest.mark.parametrize(
    "config", [TINY, replace(TINY, extra_norms=True, mix_ratio=1.0), replace(TINY, strategy="attention last")]
)
def test_costs_are_those_of_the_modules(config):
    model = abstract(lambda rngs: NextViT(config, rngs))
    assert traced.count_params(model) == count_params(config)
    images = jax.ShapeDtypeStruct((1, 18, 20, 3), jnp.float32)
    assert traced.macs(lambda model, x: model(x), model, images) == count_macs(config, (18, 20))
    assert [part.name for part in costs(config)] == ["stem 1", "stem 2", *(plan.kind for plan in config.blocks), "head"]


def test_attention_costs_fall_with_the_square_of_the_ratio():
    scores = [attention_macs(3136, 96, ratio)[0] for ratio in (1, 2, 4, 8)]
    assert [scores[0] // s for s in scores] == [1, 4, 16, 64]
    with pytest.raises(ValueError, match="norm 'layer'"):
        count_params(ablations(TINY)["LN and GELU"])


# --- Designs ---


def test_strategies():
    def kinds(name):
        return ["".join(kind[1] for kind, _ in pattern) for pattern in ablations(SMALL)[name].patterns]

    assert [len(pattern) for pattern in SMALL.patterns] == [3, 4, 10, 3]
    assert ["".join(kind[1] for kind, _ in pattern) for pattern in SMALL.patterns] == ["CCC", "CCCT", "CCCCTCCCCT", "CCT"]
    assert kinds("convolution only") == ["CCC", "CCCC", "C" * 10, "CCC"]
    assert kinds("attention in the last stage only") == ["CCC", "CCCC", "C" * 10, "TTT"]
    assert [make_divisible(v) for v in (20, 35, 36, 48, 288)] == [32, 32, 64, 64, 288]


@pytest.mark.parametrize("name", list(ablations(TINY)))
def test_every_design_runs(name):
    """Forward and gradient; each differs from the network that it is compared with."""
    config = ablations(TINY)[name]
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 16, 16, 3)), jnp.float32)
    model = NextViT(config, nnx.Rngs(0))

    @jax.jit
    def value_and_gradient(model, x):
        return jax.value_and_grad(lambda x: jnp.sum(model(x) ** 2))(x)

    value, gradient = value_and_gradient(model, x)
    assert jnp.isfinite(value)
    assert float(jnp.abs(gradient).max()) > 0
    assert set(torch_state(model)) != set(tiny()[1]) or config.style != TINY.style
    layers = {type(part) for _, part in nnx.iter_modules(model)}
    assert (nnx.LayerNorm in layers) == (name == "LN and GELU")
    assert (PoolMixer in layers) == (name == "pooling in NCB")
    assert any(isinstance(part, NTB) for part in model.blocks) == (name != "convolution only")
    ratios = {part.sr_ratio for _, part in nnx.iter_modules(model) if isinstance(part, EMHSA)}
    assert ratios == {"convolution only": set(), "attention without reduction": {1}, "attention in the last stage only": {1}}.get(
        name, {1, 2}
    )
    if name in ("NTB without MHCA", "attention without reduction"):
        assert all(part.mhca is None for part in model.blocks if isinstance(part, NTB))


def test_feature_pyramid_and_dilation():
    """Strides 4 to 32 as published; dilated, the last stage keeps stride 16 and its convolutions reach twice as far."""
    for config, last in ((replace(SMALL, extra_norms=True), 2), (replace(SMALL, dilate_last=True), 4)):
        model = abstract(lambda rngs, config=config: NextViT(config, rngs))
        maps = jax.eval_shape(lambda m, x: m.features(x), model, jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32))
        assert [x.shape[1:] for x in maps] == [(16, 16, 96), (8, 8, 256), (4, 4, 512), (last, last, 1024)]
        assert {part.mhca.group_conv3x3.dilation for part in model.blocks[-3:]} == {2 if config.dilate_last else 1}
    impulse = jnp.zeros((1, 7, 7, 4)).at[0, 3, 3].set(1.0)
    reached = np.abs(MHCA(4, 2, dilation=2, rngs=nnx.Rngs(0)).group_conv3x3(impulse)).sum((0, 3)) > 0
    np.testing.assert_array_equal(np.argwhere(reached.any(1)).ravel(), [1, 3, 5])


def test_initial_weights():
    model = NextViT(replace(TINY, num_classes=7), nnx.Rngs(0))
    state = torch_state(model)
    kernels = np.concatenate([x.ravel() for name, x in state.items() if x.ndim > 1])
    np.testing.assert_allclose(kernels.std(), 0.02, rtol=0.1)
    assert all((x == 0).all() for name, x in state.items() if name.endswith(("bias", "running_mean")))
    assert all((x == 1).all() for name, x in state.items() if name.endswith("running_var"))
    narrow = MHCA(64, 32, style=Style(init_std=None), rngs=nnx.Rngs(0))
    np.testing.assert_allclose(narrow.group_conv3x3.kernel[...].std(), (9 * 32) ** -0.5, rtol=0.1)


# --- Inputs at the edges ---


def test_degenerate_images():
    model = tiny()[0]
    images = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype(np.float32)
    assert_degenerate(lambda x: model(x), images, axes=(0,), scales=(1e-30, 1e3))
    assert_dtypes(lambda x: model(x), images, dtypes=("uint8", "bfloat16"))
    alone = jnp.concatenate([run(model, jnp.asarray(images[i : i + 1])) for i in range(2)])
    assert_close(run(model, jnp.asarray(images)), alone, 1e-5)


def test_small_images():
    """One pixel is an image; too few tokens for a window of keys are not."""
    model = abstract(lambda rngs: NextViT(replace(TINY, stages=(Stage(8, 1), Stage(8, 1, 16))), rngs))

    def shapes(model, *shape):
        images = jax.ShapeDtypeStruct(shape, jnp.float32)
        return [x.shape[1:3] for x in jax.eval_shape(lambda model, x: model.features(x), model, images)]

    assert shapes(model, 1, 1, 1, 3) == [(1, 1), (1, 1)]
    with pytest.raises(ValueError, match="sr_ratio is 2 and x has 1 tokens"):
        shapes(tiny()[0], 1, 2, 2, 3)
    with pytest.raises(ValueError, match="padded input"):
        shapes(model, 1, 0, 8, 3)
    with pytest.raises(ValueError, match="channels"):
        shapes(model, 1, 8, 8, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r: MHCA(6, 4, rngs=r), "head_dim is 4 for 6 channels"),
        (lambda r: EMHSA(6, 4, rngs=r), "head_dim is 4 for 6 channels"),
        (lambda r: EMHSA(4, 4, 0, rngs=r), "sr_ratio is 0"),
        (lambda r: PatchEmbed(4, 4, 3, rngs=r), "stride is 3"),
        (lambda r: PatchEmbed(0, 4, rngs=r), "before is 0"),
        (lambda r: NCB(4, 4, head_dim=2, mixer="fourier", rngs=r), "mixer is 'fourier'"),
        (lambda r: NCB(4, 4, head_dim=2, drop_path_rate=1.0, rngs=r), "drop_path_rate is 1.0"),
        (lambda r: NTB(4, 8, attention_dim=12, rngs=r), "12 of 8 channels"),
        (lambda r: NTB(32, 64, mix_ratio=0.0, attention_dim=32, rngs=r), "mix_ratio is 0.0"),
        (lambda r: replace(TINY, head_dim=3), "head_dim is 3; it must divide"),
        (lambda r: replace(TINY, mix_ratio=1.5), "mix_ratio is 1.5"),
        (lambda r: replace(TINY, drop_path=1.0), "drop_path 1.0"),
        (lambda r: replace(TINY, num_classes=0), "num_classes 0"),
        (lambda r: replace(TINY, stages=()), "stages has 0 entries"),
        (lambda r: replace(TINY, strategy="none"), "strategy is 'none'"),
        (lambda r: Stage(8, 0), "needs blocks"),
        (lambda r: Stage(8, 1, stride=3), "stride is 3"),
        (lambda r: Stage(8, 1, repeats=0), "must be at least 1"),
        (lambda r: Style("group"), "norm is 'group'"),
        (lambda r: Style(init_std=-1.0), "init_std is -1.0"),
        (lambda r: make_divisible(0), "value is 0"),
        (lambda r: costs(TINY, (0, 3)), "size is"),
    ],
)
def test_wrong_arguments(make, message, as_installed):
    with pytest.raises(ValueError, match=re.escape(message)):
        make(nnx.Rngs(0))


# --- Data, training, presets ---


def small_preset():
    stages = (Stage(4, 0, 8),)
    network = replace(TINY, stages=stages, stem=((4, 2),), head_dim=2, divisor=2, in_channels=1, num_classes=10, drop_path=0.3)
    return replace(PRESETS["quick"], network=network)


def images_of(preset):
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 10, 40).astype(np.int32)
    x = (draw.uniform(size=(40, 16, 16, 1)) + labels[:, None, None, None] / 3).astype(np.float32)
    split = ImageSplit(x, labels)
    return _in_memory(ImageData("brightness", split, split, 10), preset)


def test_training_learns_and_keeps_running_statistics():
    preset = small_preset()
    preset = replace(preset, training=replace(preset.training, steps=3, batch_size=8, mixup=0.2, cutmix=1.0))
    images, keys = images_of(preset), jax.random.split(jax.random.key(0), 2)
    graph, state = train("hybrid", preset, images, keys)
    model = nnx.merge(graph, jax.tree.map(lambda x: x[1], state))
    means = [x for name, x in torch_state(model).items() if name.endswith("running_mean")]
    assert all(np.abs(x).max() > 0 for x in means)
    assert logistic_regression(images) > 50


def test_streams_train_as_memory_does():
    preset = small_preset()
    preset = replace(preset, training=replace(preset.training, steps=2, batch_size=8))
    split = images_of(preset).memory

    def stream(seed):
        while True:
            yield split.images[:8], split.labels[:8]

    streamed = replace(images_of(preset), memory=None, stream=stream)
    _, state = train("hybrid", preset, streamed, jax.random.split(jax.random.key(0), 2))
    assert {x.shape[0] for x in jax.tree.leaves(state)} == {2}


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_trace(name):
    """A loss of every network at its full size, by shapes alone."""
    preset = PRESETS[name]
    config, side = preset.network, preset.image_size
    batch = (
        jax.ShapeDtypeStruct((4, side, side, config.in_channels), jnp.uint8),
        jax.ShapeDtypeStruct((4,), jnp.int32),
    )
    chosen = {"quick": None, "standard": ("hybrid",), "paper": ("hybrid",)}[name]
    for network, build in builders(preset).items():
        if chosen is None or network in chosen:
            loss = make_loss(preset.training, config.num_classes)
            model = nnx.eval_shape(lambda build=build: build(nnx.Rngs(0)))
            assert jax.eval_shape(loss, model, batch, jax.random.key(0)).shape == ()
            assert jax.eval_shape(scores, model, batch[0]).shape == (4, config.num_classes)


def test_images(monkeypatch, tmp_path, as_installed):
    images = open_images(PRESETS["quick"])
    assert images.stand_in_for == "ImageNet-1K"
    x, _ = next(images.value.test())
    assert x.shape == (360, 16, 16, 1)
    np.testing.assert_array_equal(x[:, ::2, ::2], x[:, 1::2, 1::2])
    np.testing.assert_array_equal(thumbnails(x), x[:, ::2, ::2].reshape(360, 64))
    with pytest.raises(ValueError, match="image_set is 'flowers'"):
        open_images(replace(PRESETS["quick"], image_set="flowers"))
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    with pytest.raises(DatasetUnavailable):
        open_images(PRESETS["paper"])
