"""The paper's claims about elastic solids, measured."""

from functools import partial
from typing import Any

import jax
import numpy as np

from quire.common.claims import Measurement, all_of, at_least, at_most, beats, every_seed, shared
from quire.common.pde.elastodynamics import penetration
from quire.common.pde.precision import working_precision
from quire.common.train.seeds import stack
from quire.insr_pde import solids_figures
from quire.insr_pde.config import Preset
from quire.insr_pde.paper import paper
from quire.insr_pde.solids import (
    Path,
    box_of,
    grid_points,
    measure,
    move,
    move_elements,
    positions,
    squeezed,
)
from quire.insr_pde.solids_config import SolidRun

GRID = 101
"""Material points along an axis at which depths are read and that figures show; the boundary is among them."""


def _floats(params: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def _last(path: Path) -> Any:
    return jax.tree.map(lambda leaf: leaf[-1], path.params)


def _networks(run: SolidRun, keys: jax.Array) -> list[Path]:
    """An experiment by a network, seed by seed: one compilation."""
    with working_precision(run.precision):
        solve = jax.jit(partial(move, run))
        return [jax.device_get(solve(key)) for key in keys]


# --- Collision ---


@shared
def collisions(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """The square on the disc, by networks and by a mesh: where a grid of material points is at every step."""
    run, x = preset.solids.collision, grid_points(2, GRID)
    paths = _networks(run, keys)
    with working_precision("float64"):
        mesh = box_of(run, run.cells)
        on_mesh = move_elements(run, mesh)
        elements = positions(run, on_mesh.params, x, mesh)
    with working_precision(run.precision):
        moved = np.stack([positions(run, path.params, x.astype(run.precision)) for path in paths])
    return {
        "INSR": moved,
        "FEM": elements.tolist(),
        "infos": stack([path.infos for path in paths]),
        "FEM energies": on_mesh.infos.loss.tolist(),
        "floats": _floats(_last(paths[0])),
        "FEM floats": mesh.nodes.size,
    }


def free_fall(run: SolidRun) -> np.ndarray:
    """Heights of a solid that meets nothing, one a step: implicit Euler by hand, `v` grows by `dt f / (2 r_kinematic)`.

    Raises:
        ValueError: if nothing pushes the solid, or it has no mass.
    """
    problem = run.problem
    if problem.force is None or problem.kinematic is None:
        raise ValueError(f"force is {problem.force} and kinematic {problem.kinematic}; a fall needs both")
    gain = problem.dt * problem.force[-1] / (2 * problem.kinematic)
    speeds = np.cumsum([gain * (n < problem.force_steps) for n in range(run.steps)])
    return np.concatenate([[0.0], np.cumsum(problem.dt * speeds)])


@paper.claim(
    "C4",
    says="Collisions: contact and large deformation in the same framework, no worse than finite elements of equal memory",
    source="section 5, elastodynamics; the square that collides with a disc",
    metric="largest depth of a material point inside the disc, all steps",
    holds=all_of(
        every_seed(at_most(1.1, of="depth / that of FEM")),
        every_seed(at_most(0.0, of="largest rise of the energy in a solve")),
        every_seed(at_least(1.0, of="finite steps / all")),
    ),
    trivial="free fall",
    expect="partly",
    because=(
        "The energy falls in every solve and the disc holds the square, but less exactly than it holds the mesh: the network "
        "sinks in by a few hundredths of the radius. The mesh has contact nodes on its boundary; the network meets the disc at "
        "Gauss points, of which none lies there."
    ),
)
def collides(preset: Preset, key: jax.Array) -> Measurement:
    """Three steps of 0.1; contact acts at the points of a network's quadrature and at the nodes of the mesh."""
    run = preset.solids.collision
    found, obstacle = collisions(preset, key), run.problem.obstacle
    if obstacle is None:
        raise ValueError("obstacle of the collision is None; it needs one")
    fall = grid_points(2, GRID)[None] + np.array([[[0.0, height]] for height in free_fall(run)])
    paths = {"INSR": found["INSR"], "FEM": np.asarray(found["FEM"]), "free fall": fall}
    deepest = jax.jit(jax.vmap(partial(penetration, obstacle)))
    depths = {name: np.asarray(deepest(path.astype(np.float32))).tolist() for name, path in paths.items()}
    infos, elements = found["infos"], found["FEM energies"]
    value, fem = max(depths["INSR"][1:]), max(depths["FEM"][1:])
    losses = np.concatenate([infos.start[:, None], infos.losses], axis=1)
    centres = {name: float(path[-1][:, 1].mean()) for name, path in paths.items()}
    last, time = run.steps, f"t = {run.steps * run.problem.dt:.1f}"
    return Measurement(
        value,
        f"generated: a square on a disc, {found['floats']} floats, mesh with {found['FEM floats']}, {run.steps} steps",
        baselines={"free fall": max(depths["free fall"]), "FEM": fem},
        extras={
            "depth / that of FEM": value / max(fem, np.finfo(float).tiny),
            "largest rise of the energy in a solve": float(np.diff(losses, axis=1).max()),
            "finite steps / all": float(np.isfinite(infos.loss).mean()),
            "depth at the last step": depths["INSR"][-1],
            "depth at the last step, FEM": depths["FEM"][-1],
            **{f"way of the centre, {name}": way for name, way in centres.items()},
            **{f"energy of step {n + 1}": float(infos.loss[n]) for n in range(last)},
            **{f"energy of step {n + 1}, FEM": elements[n] for n in range(last)},
        },
        figure=solids_figures.deformed_squares({f"{name}, {time}": paths[name][-1] for name in ("INSR", "FEM")}, obstacle),
    )


# --- Stretch ---


@shared
def stretches(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """The stretched square by networks, by meshes and by an affine map, all measured at the same points."""
    run, x = preset.solids.stretch, grid_points(2, GRID)
    paths = _networks(run, keys)
    with working_precision("float64"):
        networks = jax.tree.map(lambda leaf: leaf.astype(float), [_last(path) for path in paths])
        energies, moved = (stack(part) for part in zip(*map(measure(run, x), networks), strict=True))
        result: dict[str, Any] = {
            "energy": energies,
            "INSR": moved,
            "infos": stack([path.infos for path in paths]),
            "floats": _floats(networks[0]),
        }
        for name, cells, raised in (("FEM", run.cells, [None]), ("fine FEM", run.fine_cells, [])):
            mesh = box_of(run, cells)
            affine, measured = squeezed(run, np.asarray(mesh.nodes)), measure(run, x, mesh)
            best = move_elements(run, mesh, [*raised, affine])
            energy, moved = jax.device_get(measured(_last(best)))
            result |= {
                name: moved.tolist(),
                f"energy of {name}": float(energy),
                f"energy of {name}, by its own elements": float(best.infos.loss[-1]),
                f"floats of {name}": mesh.nodes.size,
            }
        result["energy of affine stretch"] = float(measured(affine)[0])
    return result


@paper.claim(
    "C5",
    says="A solver without data: the static stretch reaches an energy no higher than that of finite elements of equal memory",
    source="section 5, elasticity; the square stretched to twice its length",
    metric="energy above that of a fine mesh, relative",
    holds=every_seed(beats("FEM", lower_is_better=True)),
    trivial="affine stretch",
)
def stretches_without_data(preset: Preset, key: jax.Array) -> Measurement:
    """The mesh gets the better of two starts: load raised in steps as for the network, or the affine stretch at full load."""
    found = stretches(preset, key)
    reference = found["energy of fine FEM"]
    gap = {name: found[f"energy of {name}"] / reference - 1 for name in ("affine stretch", "FEM")}
    infos = found["infos"]
    return Measurement(
        float(found["energy"]) / reference - 1,
        f"generated: a stretched square, {found['floats']} floats, meshes with "
        f"{found['floats of FEM']} and {found['floats of fine FEM']}",
        baselines=gap,
        extras={
            "energy": float(found["energy"]),
            **{f"energy of {name}": found[f"energy of {name}"] for name in ("FEM", "fine FEM", "affine stretch")},
            **{
                f"energy of {name}, by its own elements": found[f"energy of {name}, by its own elements"]
                for name in ("FEM", "fine FEM")
            },
            "energy at the points of the solver": float(infos.loss[-1]),
            "iterations": float(infos.steps.sum()),
        },
        figure=solids_figures.deformed_squares(
            {name: np.asarray(found[name]) for name in ("INSR", "FEM", "fine FEM")}, every=10, width=3.6, height=2.0
        ),
    )
