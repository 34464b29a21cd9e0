"""Surface meshes: the OBJ reader and the Stanford bunny."""

import itertools
from typing import NamedTuple

import numpy as np

from quire.common.data.archives import gunzip
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt

MAX_ELEMENTS = 2_000_000


class Surface(NamedTuple):
    """A triangle mesh.

    Attributes:
        vertices: float64 `[n, 3]`.
        faces: vertices of each triangle, counter-clockwise from outside, int64 `[f, 3]`, from 0.
    """

    vertices: np.ndarray
    faces: np.ndarray


def read_obj(text: str, *, source: str = "the file") -> Surface:
    """Vertices and triangles of an OBJ file; polygons are cut into fans, everything but `v` and `f` lines is left out.

    Args:
        text: content of the file.
        source: what an error message calls it.

    Raises:
        DatasetCorrupt: if a line does not hold three finite coordinates or three vertices, a face names a vertex that does not
            exist, there is no face, or more than two million of either.

    >>> read_obj("v 0 0 0\\nv 1 0 0\\nv 1 1 0\\nv 0 1 0\\nf 1 2/7 3//1 -1\\n").faces.tolist()
    [[0, 1, 2], [0, 2, 3]]
    """
    vertices: list[tuple[float, ...]] = []
    faces: list[tuple[int, int, int]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        kind, *cells = line.split() or [""]
        try:
            if kind == "v":
                vertices.append((float(cells[0]), float(cells[1]), float(cells[2])))
            elif kind == "f":
                corners = [int(cell.split("/")[0]) for cell in cells]
                if 0 in corners:
                    raise ValueError
                corners = [corner - 1 if corner > 0 else len(vertices) + corner for corner in corners]
                if len(corners) < 3 or min(corners) < 0:
                    raise ValueError
                faces += [(corners[0], *pair) for pair in itertools.pairwise(corners[1:])]
        except (ValueError, IndexError):
            raise DatasetCorrupt(f"line {number} of {source} is {line[:40]!r}, not a vertex or a face") from None
        if max(len(vertices), len(faces)) > MAX_ELEMENTS:
            raise DatasetCorrupt(f"{source} has more than {MAX_ELEMENTS} vertices or faces")
    if not faces:
        raise DatasetCorrupt(f"{source} has no face")
    surface = Surface(np.array(vertices, float).reshape(-1, 3), np.array(faces, np.int64))
    if surface.faces.max() >= len(vertices):
        raise DatasetCorrupt(f"a face of {source} names vertex {surface.faces.max() + 1}; there are {len(vertices)}")
    if not np.isfinite(surface.vertices).all():
        raise DatasetCorrupt(f"{source} has a vertex that is not finite")
    return surface


def stanford_surface(name: str = "bunny") -> Surface:
    """The bunny, `[2503, 3]` and `[4968, 3]`, with holes in its base, or the armadillo, `[49990, 3]` and `[99976, 3]`.

    Args:
        name: `"bunny"` or `"armadillo"`.

    Raises:
        ValueError: for another name.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    if name not in ("bunny", "armadillo"):
        raise ValueError(f"name is {name!r}; choose from bunny, armadillo")
    file = f"{name}.obj.gz"
    content = gunzip(fetch("sdf-meshes", file), limit=64 * 2**20)
    return read_obj(content.decode("ascii", errors="replace"), source=file)


def ball_surface(subdivisions: int = 2) -> Surface:
    """The unit ball as an icosahedron, each triangle cut into four `subdivisions` times: `20 * 4^k` triangles.

    Raises:
        ValueError: if there are fewer than 0 subdivisions, or more than 6.

    >>> ball_surface(1).faces.shape
    (80, 3)
    """
    if not 0 <= subdivisions <= 6:
        raise ValueError(f"subdivisions is {subdivisions}; it must be between 0 and 6")
    golden = (1 + 5**0.5) / 2
    pairs = [(a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    vertices = np.array([np.roll((0.0, a, b), shift) for shift in range(3) for a, b in pairs])
    distances = np.linalg.norm(vertices[:, None] - vertices[None], axis=-1)
    near = np.isclose(distances, 2)
    triples = np.array(list(itertools.combinations(range(12), 3)))
    faces = triples[near[triples, np.roll(triples, 1, axis=1)].all(axis=1)]
    outward = np.linalg.det(vertices[faces]) > 0
    faces = np.where(outward[:, None], faces, faces[:, ::-1])
    for _ in range(subdivisions):
        corners = vertices[faces]  # a vertex for each corner and edge of each triangle, merged below
        middles = (corners + np.roll(corners, -1, axis=1)) / 2
        a, b, c, ab, bc, ca = *corners.transpose(1, 0, 2), *middles.transpose(1, 0, 2)
        parts = np.concatenate([np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
        vertices, where = np.unique(parts.reshape(-1, 3).round(12), axis=0, return_inverse=True)
        faces = where.reshape(-1, 3)
    return Surface(vertices / np.linalg.norm(vertices, axis=1, keepdims=True), faces.astype(np.int64))


def centred(surface: Surface, half_width: float = 1.0) -> Surface:
    """A surface moved and scaled so that its bounding box is centred at 0 and its longest edge is `2 half_width`.

    Raises:
        ValueError: if it has no extent, or `half_width` is not positive.
    """
    low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
    if not (half_width > 0 and (high - low).max() > 0):
        raise ValueError(f"half_width is {half_width} and the surface {(high - low).max()} wide; both must be positive")
    return surface._replace(vertices=(surface.vertices - (low + high) / 2) * (2 * half_width / (high - low).max()))
