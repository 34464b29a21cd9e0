"""ShapeNetCore: meshes of objects in folders, one for every class."""

from pathlib import Path

from quire.common.data.meshes import Surface, read_obj
from quire.common.data.registry import provided
from quire.common.errors import DatasetCorrupt


def shapenet_files() -> list[tuple[Path, int]]:
    """Meshes of ShapeNetCore.v2 with their labels; classes are numbered in the order of their folders, models sorted.

    Raises:
        DatasetUnavailable: if `shapenet-core-v2/models` is neither below `QUIRE_DATA` nor in the cache.
        DatasetCorrupt: if there is no mesh in it.
    """
    folder = provided("shapenet-core-v2", "models")
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    found = [(file, label) for label, path in enumerate(classes) for file in sorted(path.glob("*/models/model_normalized.obj"))]
    if not found:
        raise DatasetCorrupt(f"{folder} holds no mesh <class>/<model>/models/model_normalized.obj")
    return found


def shapenet_surface(file: Path) -> Surface:
    """One mesh, polygons cut into triangles.

    Raises:
        DatasetCorrupt: as `read_obj`.
    """
    return read_obj(file.read_text(encoding="utf-8", errors="replace"), source=str(file))
