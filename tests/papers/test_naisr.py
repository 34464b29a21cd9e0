"""NAISR: the authors' vectors, the mathematics as properties, degenerate inputs, errors, presets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.testing import assert_close
from quire.naisr.convert import load_naisr
from quire.naisr.loss import ShapeBatch, naisr_loss

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
