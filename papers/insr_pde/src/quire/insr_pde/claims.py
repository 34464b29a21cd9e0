"""The paper's claims, measured."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, all_of, at_least, beats, below, every_seed, shared
from quire.common.fields.operators import divergence, laplacian, value_and_jacobian
from quire.common.fields.siren import Layers, siren
from quire.common.pde.advection import midpoint_objective
from quire.common.pde.fluid import Points, advection_objective, pressure_objective, projection_objective
from quire.common.pde.precision import working_precision
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.insr_pde import brute_force, figures
from quire.insr_pde.config import Preset
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
        "pressure solve": with_gradient(pressure_objective(siren, u, points), nets["p"]),
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
    shapes = {"line": (1, 1), "line before": (1, 1), "u": (2, 2), "u before": (2, 2), "p": (2, 1)}
    widths = {name: _widths(*shape) for name, shape in shapes.items()}
    theta = {name: 0.15 * rng.standard_normal(sum((a + 1) * b for a, b in itertools.pairwise(widths[name]))) for name in shapes}
    x1, ends = rng.uniform(-2, 2, (24, 1)), rng.choice([-2.0, 2.0], (6, 1))
    x, side_x, side_y = rng.uniform(-1, 1, (24, 2)), rng.uniform(-1, 1, (4, 2)), rng.uniform(-1, 1, (6, 2))
    side_x[:, 0], side_y[:, 1] = rng.choice([-1.0, 1.0], 4), rng.choice([-1.0, 1.0], 6)
    with working_precision("float64"):
        nets = {name: _layers(values, widths[name]) for name, values in theta.items()}
        points = Points(jnp.asarray(x), (jnp.asarray(side_x), jnp.asarray(side_y)))
        found = jax.device_get(_derivatives_and_losses(nets, jnp.asarray(x1), jnp.asarray(ends), points))

    w, wp = widths["u"], widths["p"]
    u, p = (brute_force.network(theta[name], widths[name], x) for name in ("u", "p"))
    carried = brute_force.carried_velocity(theta["u before"], w, x, DT)
    projected = brute_force.projected_velocity(theta["u before"], w, theta["p"], wp, x)
    sides, ends_of = (side_x, side_y), {"velocity": VELOCITY, "dt": DT}
    losses = {
        "midpoint rule": (
            "line",
            lambda t: brute_force.advection_loss(t, theta["line before"], widths["line"], x1, ends, **ends_of),
        ),
        "advection": ("u", lambda t: brute_force.velocity_loss(t, w, carried, x, *sides)),
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
    wrong = {
        name: max(
            max_relative_error(a, e) for a, e in zip(jax.tree.leaves(found[name]), jax.tree.leaves(expected[name]), strict=True)
        )
        for name in expected
    }
    return Measurement(max(wrong.values()), f"random networks of width {HIDDEN}, 24 points", extras=wrong)


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
    (nodes, test), networks, grids = line(run), advected(preset, key), advect_by_grids(run)
    discrete, exact, values = grids["discrete"], grids["exact"], networks["values"]
    stride = (len(test) - 1) // (len(nodes) - 1)

    def at_nodes(name: str, reference: np.ndarray) -> float:
        return float(np.abs(grids[name][-1] - reference[::stride]).mean())

    def distance(field: np.ndarray, reference: np.ndarray) -> float:
        return float(np.abs(field - reference).mean())

    peaks = {name: 1 - grid_peak(nodes, grids[name][-1], test) for name in (*GRIDS, "semi-Lagrangian cubic")}
    peak, error = float(1 - values[-1].max()), distance(values[-1], discrete)
    by_exact = {name: at_nodes(name, exact) for name in peaks} | {"INSR": distance(values[-1], exact)}
    by_discrete = {"INSR": error} | {name: at_nodes(name, discrete) for name in ("central midpoint", "upwind midpoint")}
    peaks["INSR"] = peak
    if run.pinn:
        pinn = networks["pinn"]["values"]
        peaks["PINN"], by_exact["PINN"] = float(1 - pinn.max()), distance(pinn, exact)
    panels = {
        "peak loss": peaks,
        "error against the midpoint rule": by_discrete,
        "error against the solution": by_exact,
    }
    order = ("INSR", *GRIDS, "semi-Lagrangian cubic", "PINN")
    panels = {title: {name: [numbers[name]] for name in order if name in numbers} for title, numbers in panels.items()}
    return Measurement(
        error,
        f"generated: a bump, {len(nodes)} floats, {run.steps} steps",
        baselines={
            "bump that stays": distance(grids["initial"], discrete),
            **{name: by_discrete[name] for name in ("central midpoint", "upwind midpoint")},
        },
        extras={
            "peak loss": peak,
            **{f"peak loss of {name}": value for name, value in peaks.items() if name != "INSR"},
            **{f"peak loss / that of {name}": peak / peaks[name] for name in GRIDS},
            "error / that of central midpoint": error / by_discrete["central midpoint"],
            **{f"error against the solution, {name}": value for name, value in by_exact.items()},
            "error of the midpoint rule": distance(discrete, exact),
            "converged steps / all": float(np.mean(networks["steps"].converged)),
            "largest mean square residual": float(networks["steps"].solve.terms["main"].max()),
            "mean square misfit of the start": float(networks["fit"].loss),
        },
        figure=figures.errors(panels),
    )


# --- Fluid ---


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
    trivial="fluid at rest",
)
def keeps_energy(preset: Preset, key: jax.Array) -> Measurement:
    """A steady flow: the exact velocity is that of the start. Both grids are read by cubic splines."""
    run = preset.fluid
    networks, grids = flows(preset, key), flow_by_grids(run)
    exact, steps = grids["exact"], networks["steps"]
    fields = {"INSR": networks["values"]} | {name: grids[name] for name in grids if name != "exact"}
    wrong = {name: mean_square(values - exact) for name, values in fields.items()}
    energies = {name: energy_change(values, exact) for name, values in fields.items()}
    floats = num_floats(run.network, 2, 2) + num_floats(run.network, 2, 1)
    lost = {name: float(abs(change[-1])) for name, change in energies.items()}
    return Measurement(
        float(wrong["INSR"][-1]),
        f"generated: steady vortices, {floats} floats, grid {equal_grid(floats, 3)}^2, {run.steps} steps",
        baselines={
            "fluid at rest": float(mean_square(exact)),
            **{name: float(values[-1]) for name, values in wrong.items() if name != "INSR"},
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
        figure=figures.energy_and_error(energies, wrong, fluid_problem(run).dt),
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
        name: {place: float(mean_square(values[place] - exact[place])) for place in exact}
        for name, values in {"INSR": networks["values"], **{k: v for k, v in grids.items() if k != "exact"}}.items()
    }
    shown = {"exact": exact, "INSR": networks["values"], "bilinear grid": grids["bilinear grid, least squares"]}
    return Measurement(
        wrong["INSR"]["small block"],
        f"generated: vortices of two sizes, {floats} floats, grid {equal_grid(floats, 2)}^2",
        baselines={
            "zero": float(mean_square(exact["small block"])),
            **{name: values["small block"] for name, values in wrong.items() if name != "INSR"},
        },
        extras={
            **{f"error in the whole box, {name}": values["box"] for name, values in wrong.items()},
            "training loss": float(networks["fit"].loss),
        },
        figure=figures.speeds({name: values["box"] for name, values in shown.items()}),
    )
