"""Fingerprints: everything that a record was measured with, as one dictionary of digests and one digest of that.

The parts of a fingerprint are the modules of the paper's closure, the files of its package, the code cells of its notebook, the
libraries that compute, and the data sets: for each set that the closure names the digest of its entry in the catalogue and
whether it was there. Presence belongs to the measurement and not to the sources: a record that was measured with a data
set is no staler on a machine without it, but a run is only resumed where the same sets are at hand.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from quire.common.errors import UsageError
from quire.common.freshness.checkout import notebook_path, packages, papers, read_json, record_path
from quire.common.freshness.closure import EXEMPT, Closure, closure
from quire.common.freshness.modules import Sources

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "scikit-learn")
"""Libraries that compute: another version may give other numbers."""

_CATALOGUE = "quire.common/data/catalogue/"
_DATA = "data "


def fingerprint(parts: Mapping[str, str], preset: str) -> str:
    """One digest of all parts and the preset.

    >>> fingerprint({"a": "1", "b": "2"}, "quick") == fingerprint({"b": "2", "a": "1"}, "quick")
    True
    """
    return hashlib.sha256(json.dumps([preset, sorted(parts.items())]).encode()).hexdigest()[:16]


def changed(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """What happened to each part since: `changed`, `new` or `gone`.

    >>> changed({"a": "1", "b": "2"}, {"a": "3", "c": "4"})
    {'a': 'changed', 'b': 'gone', 'c': 'new'}
    """
    names = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
    return {name: "changed" if name in then and name in now else "new" if name in now else "gone" for name in names}


def checkout_sources(root: Path, slug: str | None = None) -> Sources:
    """All packages of a checkout, and the code cells of every notebook, or of one, as a script `notebook <slug>`."""
    notebooks = {one: notebook_path(root, one) for one in ([slug] if slug else papers(root))}
    cells = {_script(one): code_cells(read_json(path)) for one, path in notebooks.items() if path.exists()}
    return Sources(packages(root), cells)


def paper_closure(sources: Sources, slug: str, exempt: tuple[str, ...] = EXEMPT, *, typed: bool = True) -> Closure:
    """Closure of a paper: its whole package, and its notebook where `sources` holds one; annotations count if `typed`."""
    entries = [*sources.members(f"quire.{slug}"), *(name for name in (_script(slug),) if name in sources.scripts)]
    return closure(sources, entries, exempt, typed=typed)


def code_cells(notebook: Mapping[str, Any]) -> str:
    """Code cells of a notebook as one source, magics left out.

    >>> code_cells({"cells": [{"cell_type": "code", "source": ["%matplotlib inline\\n", "x = 1"]}]})
    '\\nx = 1\\n'
    """
    cells = ("".join(cell["source"]) for cell in notebook.get("cells", ()) if cell["cell_type"] == "code")
    lines = (line for cell in cells for line in cell.splitlines())
    return "".join(("" if line.startswith(("%", "!")) else line) + "\n" for line in lines)


def parts(sources: Sources, slug: str) -> dict[str, str]:
    """Digest of everything that the numbers of a paper rest on, data sets in the catalogue included, presence left out."""
    reached = paper_closure(sources, slug, typed=False)
    found = reached.parts() | sources.resources(f"quire.{slug}")
    if _script(slug) in found:
        found["notebook"] = found.pop(_script(slug))
    texts = {text.replace("_", "-").lower() for text in reached.texts()}
    catalogue = {k: v for k, v in sources.resources("quire.common").items() if k.startswith(_CATALOGUE)}
    found |= {name: value for name, value in catalogue.items() if Path(name).stem in texts}
    return found | {name: _version(name) for name in LIBRARIES}


@lru_cache
def running_parts(slug: str) -> dict[str, str]:
    """Parts of an installed paper as this process runs it: without a notebook, with what data sets are there."""
    names = ("quire.common", f"quire.{slug}")
    folders = {name: spec.submodule_search_locations for name in names if (spec := find_spec(name)) is not None}
    sources = Sources({name: Path(next(iter(places))) for name, places in folders.items() if places})
    found = parts(sources, slug) if len(sources.packages) == 2 else {name: _version(name) for name in LIBRARIES}
    return found | _presence(found)


def stamp(root: Path, slug: str, record: Mapping[str, Any], **costs: Any) -> dict[str, Any]:
    """A record as it is published: its parts are those of the checkout, notebook included, with the data sets of the run.

    Args:
        root: the checkout.
        slug: the paper.
        record: what the run recorded.
        costs: what else belongs to the stamp: `seconds`, `yardstick`, `xla_flags`, `verified`.

    Raises:
        UsageError: if the paper's package has changed since the run began.
    """
    presence = {name: value for name, value in record["parts"].items() if name.startswith(_DATA)}
    found = parts(checkout_sources(root, slug), slug) | presence
    own = [name for name in record["parts"] if name.startswith(f"quire.{slug}.") or name in LIBRARIES]
    if moved := [name for name in own if found.get(name) != record["parts"][name]]:
        raise UsageError(f"{', '.join(moved)} changed while {slug} ran; run it again")
    return {**record, "fingerprint": fingerprint(found, record["preset"]), **costs, "parts": dict(sorted(found.items()))}


def stale(root: Path, slug: str, sources: Sources | None = None) -> dict[str, str]:
    """Parts of the published record of a paper that differ from what stands in the checkout; nothing if it is fresh.

    A record and a notebook that do not come from one execution count as stale too.
    """
    record = read_json(record_path(root, slug))
    twin = read_json(notebook_path(root, slug)).get("metadata", {}).get("quire", {})
    if "parts" not in record:
        return {"record": "not stamped"}
    if record.get("fingerprint") != fingerprint(record["parts"], record.get("preset", "")):
        return {"record": "edited"}
    if twin.get("fingerprint") != record["fingerprint"]:
        return {"notebook": "of another execution than the record"}
    then = {name: value for name, value in record["parts"].items() if not name.startswith(_DATA)}
    return changed(then, parts(sources or checkout_sources(root, slug), slug))


def _script(slug: str) -> str:
    return f"notebook {slug}"


def _presence(found: Mapping[str, str]) -> dict[str, str]:
    """`here` or `absent` for each data set among the parts."""
    from quire.common.data.registry import is_local  # only a run needs it; what asks about records stays light

    names = [Path(name).stem for name in found if name.startswith(_CATALOGUE)]
    return {_DATA + name: "here" if is_local(name) else "absent" for name in names}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
