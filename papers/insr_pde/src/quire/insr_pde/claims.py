"""The paper's claims, measured."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, all_of, at_least, beats, below, every_seed, shared
from quire.common.fields.operators import divergence, laplacian, value_and_jacobian
from quire.common.fields.siren import Layers, siren
from quire.common.fields.siren_laplacian import siren_laplacian
from quire.common.pde.advection import midpoint_objective
from quire.common.pde.fluid import Points, advection_objective, pressure_objective, projection_objective
from quire.common.pde.precision import working_precision
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.insr_pde import brute_force, figures
from quire.insr_pde.config import AdvectionRun, Preset
from quire.insr_pde.convert import flat_from_layers, layers_from_flat
from quire.insr_pde.experiments import (
    advect_by_grids,
    advect_by_networks,
    energy_change,
    equal_grid,
    flow_by_grids,
    flow_by_networks,
    fluid_problem,
    grid_peak,
    line,
    mean_square,
    num_floats,
    two_scales_by_grids,
    two_scales_by_networks,
)
from quire.insr_pde.paper import paper

# --- Exact mathematics ---

HIDDEN, HIDDEN_LAYERS = 12, 2
VELOCITY, DT = 0.25, 0.05


def _widths(in_dim: int, out_dim: int) -> tuple[int, ...]:
    return (in_dim, *[HIDDEN] * (HIDDEN_LAYERS + 1), out_dim)


NETS = {"line": _widths(1, 1), "line before": _widths(1, 1), "u": _widths(2, 2), "u before": _widths(2, 2), "p": _widths(2, 1)}


def _layers(theta: np.ndarray, widths: tuple[int, ...]) -> Layers:
    sizes = {"in_dim": widths[0], "out_dim": widths[-1], "hidden": HIDDEN, "num_hidden_layers": HIDDEN_LAYERS}
    return layers_from_flat(theta, **sizes)


@jax.jit
def _derivatives_and_losses(nets: dict[str, Layers], x1, ends, points: Points) -> dict[str, Any]:
    def on(layers):
        return lambda x: siren(layers, x)

    def with_gradient(objective, layers):
        total, slopes = jax.value_and_grad(objective)(layers)
        return total, flat_from_layers(slopes)

    u, u_before, p = on(nets["u"]), on(nets["u before"]), on(nets["p"])
    advection = midpoint_objective(siren, on(nets["line before"]), x1, ends, velocity=VELOCITY, dt=DT)
    return {
        "velocity": jax.vmap(lambda x: value_and_jacobian(u, x))(points.inside),
        "divergence": jax.vmap(lambda x: divergence(u, x))(points.inside),
        "pressure": jax.vmap(lambda x: value_and_jacobian(p, x))(points.inside),
        "laplacian": jax.vmap(lambda x: laplacian(p, x))(points.inside),
        "midpoint rule": with_gradient(advection, nets["line"]),
        "advection": with_gradient(advection_objective(siren, u_before, points, dt=DT), nets["u"]),
        "pressure solve": with_gradient(pressure_objective(siren, u, points, curvature=siren_laplacian), nets["p"]),
        "projection": with_gradient(projection_objective(siren, u_before, p, points), nets["u"]),
    }


@paper.claim(
    "C0",
    says="Fields, their derivatives, the losses of advection, pressure and projection and their gradients are those defined",
    source="sections 3 and 4, equations of the time integrators",
    metric="largest error / largest value, float64",
    holds=every_seed(below(1e-9)),
    exact=True,
)
def is_exact(preset: Preset, key: jax.Array) -> Measurement:
    """Random networks at random points, against NumPy with hand-made chain rules and complex steps."""
    rng = generator(key)
    theta = {name: 0.15 * rng.standard_normal(sum((a + 1) * b for a, b in itertools.pairwise(w))) for name, w in NETS.items()}
    x1, ends = rng.uniform(-2, 2, (24, 1)), rng.choice([-2.0, 2.0], (6, 1))
    x, side_x, side_y = rng.uniform(-1, 1, (24, 2)), rng.uniform(-1, 1, (4, 2)), rng.uniform(-1, 1, (6, 2))
    side_x[:, 0], side_y[:, 1] = rng.choice([-1.0, 1.0], 4), rng.choice([-1.0, 1.0], 6)
    with working_precision("float64"):
        nets = {name: _layers(values, NETS[name]) for name, values in theta.items()}
        points = Points(jnp.asarray(x), (jnp.asarray(side_x), jnp.asarray(side_y)))
        found = jax.device_get(_derivatives_and_losses(nets, jnp.asarray(x1), jnp.asarray(ends), points))
    expected = _by_definition(theta, x1, ends, x, (side_x, side_y))
    wrong = {
        name: max(
            max_relative_error(a, e) for a, e in zip(jax.tree.leaves(found[name]), jax.tree.leaves(expected[name]), strict=True)
        )
        for name in expected
    }
    return Measurement(max(wrong.values()), f"random networks of width {HIDDEN}, 24 points", extras=wrong)


def _by_definition(theta: dict[str, np.ndarray], x1, ends, x, sides) -> dict[str, Any]:
    """Everything that `_derivatives_and_losses` gives, from the flat parameters of the nets."""
    w, wp = NETS["u"], NETS["p"]
    u, p = (brute_force.network(theta[name], NETS[name], x) for name in ("u", "p"))
    advected = brute_force.semi_lagrangian_velocity(theta["u before"], w, x, DT)
    projected = brute_force.projected_velocity(theta["u before"], w, theta["p"], wp, x)
    how = {"velocity": VELOCITY, "dt": DT}
    losses = {
        "midpoint rule": ("line", lambda t: brute_force.advection_loss(t, theta["line before"], NETS["line"], x1, ends, **how)),
        "advection": ("u", lambda t: brute_force.velocity_loss(t, w, advected, x, *sides)),
        "pressure solve": ("p", lambda t: brute_force.pressure_loss(t, wp, theta["u"], w, x, *sides)),
        "projection": ("u", lambda t: brute_force.velocity_loss(t, w, projected, x, *sides)),
    }
    expected: dict[str, Any] = {
        "velocity": u[:2],
        "divergence": np.trace(u[1], axis1=1, axis2=2),
        "pressure": p[:2],
        "laplacian": p[2].sum(axis=-1),
    }
    for name, (net, loss) in losses.items():
        expected[name] = loss(theta[net]), brute_force.gradient(loss, theta[net])
    return expected


# --- Advection ---

GRIDS = ("central midpoint", "upwind midpoint", "upwind, CFL sub-steps", "semi-Lagrangian linear")


@shared
def advected(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """The bump by networks."""
    return advect_by_networks(preset.advection, keys)


@paper.claim(
    "C1",
    says="Advection: at equal memory less dissipation, and a smaller error, than grids with the same time integrator",
    source="abstract; section 5, advection",
    metric="mean absolute error against the midpoint rule without an error in space, at the last step",
    holds=all_of(
        *(every_seed(below(0.5, of=f"peak loss / that of {name}")) for name in GRIDS),
        every_seed(below(0.5, of="error / that of central midpoint")),
        every_seed(at_least(1.0, of="converged steps / all")),
    ),
    trivial="bump that stays",
)
def dissipates_less(preset: Preset, key: jax.Array) -> Measurement:
    """Grids with as many nodes as the network has weights, their peaks read by splines; a network over space and time beside."""
    run = preset.advection
    nodes, networks, grids = line(run)[0], advected(preset, key), advect_by_grids(run)
    peaks, by_discrete, by_exact = _advection_errors(run, networks, grids)
    rivals = ("central midpoint", "upwind midpoint")
    return Measurement(
        by_discrete["INSR"],
        f"generated: a bump, {len(nodes)} floats, {run.steps} steps",
        baselines={
            "bump that stays": _distance(grids["initial"], grids["discrete"]),
            **{name: by_discrete[name] for name in rivals},
        },
        extras={
            "peak loss": peaks["INSR"],
            **{f"peak loss of {name}": value for name, value in peaks.items() if name != "INSR"},
            **{f"peak loss / that of {name}": peaks["INSR"] / peaks[name] for name in GRIDS},
            "error / that of central midpoint": by_discrete["INSR"] / by_discrete["central midpoint"],
            **{f"error against the solution, {name}": value for name, value in by_exact.items()},
            "error of the midpoint rule": _distance(grids["discrete"], grids["exact"]),
            "converged steps / all": float(np.mean(networks["steps"].converged)),
            "largest mean square residual": float(networks["steps"].solve.terms["main"].max()),
            "mean square misfit of the start": float(networks["fit"].loss),
        },
        figure=_advection_figure(peaks, by_discrete, by_exact),
    )


def _distance(field: np.ndarray, reference: np.ndarray) -> float:
    return float(np.abs(field - reference).mean())


def _advection_errors(run: AdvectionRun, networks: dict[str, Any], grids: dict[str, np.ndarray]) -> tuple[dict[str, float], ...]:
    """What is missing at the peak, and mean absolute errors against the midpoint rule and the solution, by method."""
    (nodes, test), values = line(run), networks["values"][-1]
    stride = (len(test) - 1) // (len(nodes) - 1)
    read = {name: grids[name][-1] for name in (*GRIDS, "semi-Lagrangian cubic")}
    peaks = {"INSR": float(1 - values.max())}
    peaks |= {name: 1 - grid_peak(nodes, field, test) for name, field in read.items()}
    by_exact = {"INSR": _distance(values, grids["exact"])}
    by_exact |= {name: _distance(field, grids["exact"][::stride]) for name, field in read.items()}
    by_discrete = {"INSR": _distance(values, grids["discrete"])}
    by_discrete |= {name: _distance(read[name], grids["discrete"][::stride]) for name in ("central midpoint", "upwind midpoint")}
    if run.pinn:
        pinn = networks["pinn"]["values"]
        peaks["PINN"], by_exact["PINN"] = float(1 - pinn.max()), _distance(pinn, grids["exact"])
    return peaks, by_discrete, by_exact


def _advection_figure(peaks: dict[str, float], by_discrete: dict[str, float], by_exact: dict[str, float]) -> figures.Figure:
    titles = {
        "peak loss": peaks,
        "error against the midpoint rule": by_discrete,
        "error against the solution": by_exact,
    }
    return figures.errors({title: {name: [value] for name, value in numbers.items()} for title, numbers in titles.items()})


# --- Fluid ---

AS_FITTED = "velocity as fitted"
"""The trivial rival in a steady flow: no time step."""


@shared
def flows(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """The Taylor-Green vortex by networks."""
    return flow_by_networks(preset.fluid, keys)


@paper.claim(
    "C2",
    says="Taylor-Green vortex: the network keeps the kinetic energy where the grid of equal memory dissipates it",
    source="abstract; section 5, inviscid fluid",
    metric="mean square error of the velocity at the last step",
    holds=all_of(
        every_seed(beats("semi-Lagrangian bilinear", lower_is_better=True)),
        every_seed(beats("energy lost by semi-Lagrangian bilinear", lower_is_better=True, of="energy lost")),
        every_seed(at_least(1.0, of="converged steps / all")),
    ),
    trivial=AS_FITTED,
)
def keeps_energy(preset: Preset, key: jax.Array) -> Measurement:
    """A steady flow: the exact velocity is that of the start. Both grids are read by cubic splines."""
    run = preset.fluid
    networks, grids = flows(preset, key), flow_by_grids(run)
    steps, floats = networks["steps"], num_floats(run.network, 2, 2) + num_floats(run.network, 2, 1)
    wrong, energies = _flow_errors(networks, grids)
    lost = {name: float(abs(change[-1])) for name, change in energies.items()}
    shown = [name for name in wrong if name != AS_FITTED]
    return Measurement(
        float(wrong["INSR"][-1]),
        f"generated: steady vortices, {floats} floats, grid {equal_grid(floats, 3)}^2, {run.steps} steps",
        baselines={
            **{name: float(values[-1]) for name, values in wrong.items() if name != "INSR"},
            "fluid at rest": float(np.mean(grids["exact"] ** 2)),
        },
        extras={
            "energy lost": lost["INSR"],
            **{f"energy lost by {name}": value for name, value in lost.items() if name != "INSR"},
            "converged steps / all": float(np.mean(steps.converged)),
            "largest advection cost / update": float(steps.advect_ratio.max()),
            "largest pressure cost": float(steps.pressure_cost.max()),
            "iterations a step": float(np.mean(steps.advect.steps + steps.pressure.steps + steps.project.steps)),
            "mean square misfit of the start": float(networks["fit"].loss),
        },
        figure=figures.energy_and_error(
            {name: energies[name] for name in shown}, {name: wrong[name] for name in shown}, fluid_problem(run).dt
        ),
    )


def _flow_errors(networks: dict[str, Any], grids: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Mean square error of the velocity and change of its energy over time, by method."""
    exact, values = grids["exact"], networks["values"]
    fields = {"INSR": values, AS_FITTED: np.repeat(values[:1], len(values), axis=0)}
    fields |= {name: grids[name] for name in grids if name != "exact"}
    wrong = {name: mean_square(values - exact) for name, values in fields.items()}
    return wrong, {name: energy_change(values, exact) for name, values in fields.items()}


@paper.claim(
    "C2b",
    says="Taylor-Green vortex: time steps give a velocity that is nearer to the solution than no time step at all",
    source="section 5, inviscid fluid; the rival is ours",
    metric="mean square error of the velocity at the last step",
    holds=every_seed(beats(AS_FITTED, lower_is_better=True)),
    trivial=AS_FITTED,
    expect="not reproduced",
    because=(
        "The vortex is steady: without a time step the velocity stays as fitted and is wrong by the misfit of the fit alone. "
        "Every step adds to that. A flow that stays as it is cannot tell a solver from none."
    ),
)
def steps_beat_no_steps(preset: Preset, key: jax.Array) -> Measurement:
    """The networks of C2 at the last step and at the first."""
    wrong, _ = _flow_errors(flows(preset, key), flow_by_grids(preset.fluid))
    return Measurement(
        float(wrong["INSR"][-1]),
        f"generated: steady vortices, {preset.fluid.steps} steps",
        baselines={AS_FITTED: float(wrong[AS_FITTED][-1])},
    )


# --- Adaptivity ---


@shared
def two_scales(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Vortices of two sizes by networks."""
    return two_scales_by_networks(preset.two_scales, keys)


@paper.claim(
    "C3",
    says="Adaptivity: with equal memory the network resolves two scales where a uniform grid does not",
    source="section 5, fluid with vortices of two sizes",
    metric="mean square error inside the small block",
    holds=all_of(
        every_seed(beats("bilinear grid, nodal values", lower_is_better=True)),
        every_seed(beats("bilinear grid, least squares", lower_is_better=True)),
    ),
    trivial="zero",
)
def resolves_two_scales(preset: Preset, key: jax.Array) -> Measurement:
    """The initial field alone; the grid has at least as many floats."""
    run = preset.two_scales
    networks, grids = two_scales(preset, key), two_scales_by_grids(run)
    exact, floats = grids["exact"], num_floats(run.network, 2, 2)
    wrong = {
        name: {region: float(np.mean((values[region] - exact[region]) ** 2)) for region in exact}
        for name, values in {"INSR": networks["values"], **{k: v for k, v in grids.items() if k != "exact"}}.items()
    }
    shown = {"exact": exact, "INSR": networks["values"], "bilinear grid": grids["bilinear grid, least squares"]}
    return Measurement(
        wrong["INSR"]["small block"],
        f"generated: vortices of two sizes, {floats} floats, grid {equal_grid(floats, 2)}^2",
        baselines={
            "zero": float(np.mean(exact["small block"] ** 2)),
            **{name: values["small block"] for name, values in wrong.items() if name != "INSR"},
        },
        extras={
            **{f"error in the whole box, {name}": values["box"] for name, values in wrong.items()},
            "training loss": float(networks["fit"].loss),
        },
        figure=figures.speeds({name: values["box"] for name, values in shown.items()}),
    )
