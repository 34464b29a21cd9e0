"""A checkout of the workspace: its papers, records and notebooks."""

import json
import os
from pathlib import Path
from typing import Any

from quire.common.errors import UsageError


def find_root(start: Path | None = None) -> Path:
    """The checkout: the nearest folder at or above `start` (the current folder by default) that holds papers/ and notebooks/.

    Raises:
        UsageError: if there is none.
    """
    start = Path.cwd() if start is None else Path(start).resolve()
    for folder in (start, *start.parents):
        if (folder / "papers").is_dir() and (folder / "notebooks").is_dir():
            return folder
    raise UsageError(f"no checkout of quire at or above {start} (a folder with papers/ and notebooks/); go there or give --root")


def papers(root: Path) -> list[str]:
    """Slugs of the papers in a checkout, sorted."""
    return sorted(path.parent.name for path in root.glob("papers/*/pyproject.toml"))


def packages(root: Path) -> dict[str, Path]:
    """Folder of every package of a checkout by its dotted name: `quire.common` and the papers."""
    found = {"quire.common": root / "common/src/quire/common"}
    return found | {f"quire.{slug}": root / f"papers/{slug}/src/quire/{slug}" for slug in papers(root)}


def record_path(root: Path, slug: str, preset: str = "quick") -> Path:
    """Where the published record of a paper stands."""
    return root / f"papers/{slug}/records/{preset}.json"


def notebook_path(root: Path, slug: str) -> Path:
    """Where the notebook of a paper stands."""
    return root / f"notebooks/{slug}.ipynb"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty if there is no file.

    Raises:
        UsageError: if the file holds something else.
    """
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path} holds a JSON {type(value).__name__}; it must be an object")
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object whole or not at all: a reader never sees half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
