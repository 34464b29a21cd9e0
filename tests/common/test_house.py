"""Rules of the house that a machine can check."""

import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAPERS = sorted(path.parent.name for path in ROOT.glob("papers/*/pyproject.toml"))
AREAS = {"compression", "fields and shapes", "geometry", "graphs", "language", "neuroscience", "physics", "recommendation"} | {
    "representations", "retrieval", "tensors", "theory", "time series", "vision"
}  # fmt: skip
"""What the gallery of the site filters by."""
LATE = ("matplotlib", "nbconvert", "nbformat", "sklearn", "scipy.stats")
"""Slow to import, and not needed to list papers: imported in the functions that use them."""
SOURCES = [path for folder in ("common", "papers") for path in (ROOT / folder).rglob("*.py") if ".venv" not in path.parts]


def test_quire_is_a_namespace():
    assert not list(ROOT.glob("common/src/quire/__init__.py")) + list(ROOT.glob("papers/*/src/quire/__init__.py"))


def test_common_imports_no_paper_and_papers_no_other():
    for path in SOURCES:
        own = path.relative_to(ROOT).parts[1] if "papers" in path.parts else "common"
        imported = set(re.findall(r"(?:from|import) quire\.(\w+)", path.read_text(encoding="utf-8")))
        assert imported <= {"common", own}, f"{path} imports {imported - {'common', own}}"


def test_no_module_is_a_drawer():
    assert not [path for path in SOURCES if path.stem in {"utils", "helpers", "misc", "base"}]


def test_listing_papers_loads_nothing_slow():
    for path in ROOT.glob("papers/*/src/**/*.py"):
        early = re.findall(r"^(?:from|import) ([\w.]+)(?: import (.*))?", path.read_text(encoding="utf-8"), re.M)
        names = {f"{module}.{name.strip()}" for module, rest in early for name in (rest.split(",") if rest else [""])}
        slow = {name for name in names if any(f"{name}.".startswith(f"{late}.") for late in LATE)}
        assert not slow, f"{path} imports {slow} at its top"


def test_nothing_is_left_undone():
    for path in SOURCES:
        assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("slug", PAPERS)
def test_a_paper_is_whole(slug):
    for path in (
        f"papers/{slug}/README.md",
        f"papers/{slug}/src/quire/{slug}/py.typed",
        f"papers/{slug}/records/quick.json",
        f"notebooks/{slug}.ipynb",
        f"tests/papers/test_{slug}.py",
        f"tests/golden/{slug}.npz",
    ):
        assert (ROOT / path).exists(), f"{slug} lacks {path}"


@pytest.mark.parametrize("slug", PAPERS)
def test_areas_of_a_paper_are_those_of_the_gallery(slug):
    project = tomllib.loads((ROOT / f"papers/{slug}/pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["keywords"] and set(project["keywords"]) <= AREAS


@pytest.mark.parametrize("slug", PAPERS)
def test_notebooks_are_executed_small_and_clean(slug):
    path = ROOT / "notebooks" / f"{slug}.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert all(cell["execution_count"] for cell in code if "".join(cell["source"]).strip()), "not executed"
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"], "errors or noise in the outputs"
    assert any("image/png" in o.get("data", {}) for o in outputs), "no picture"
    assert path.stat().st_size < 1_500_000


@pytest.mark.parametrize("slug", PAPERS)
def test_records_ended_as_expected(slug):
    record = json.loads((ROOT / f"papers/{slug}/records/quick.json").read_text(encoding="utf-8"))
    assert record["paper"] == slug
    assert [c["id"] for c in record["claims"] if not c["as_expected"] and c["verdict"] != "not tested"] == []


def test_the_version_of_a_member_is_the_workspace_s():
    versions = {
        re.search(r'^version = "(.*)"', p.read_text(), re.M)[1]
        for p in [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("papers/*/pyproject.toml")]
    }
    assert len(versions) == 1


def test_the_list_of_common_s_modules_is_current(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "ci")
    import common_readme

    text = common_readme.README.read_text(encoding="utf-8")
    assert common_readme.current(text) == text, "run python ci/common_readme.py"


@pytest.mark.parametrize("name", ["jax", "jaxlib", "flax", "optax", "scipy", "scikit-learn", "orbax-checkpoint"])
def test_what_numbers_depend_on_is_pinned(name):
    constraints = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]["constraint-dependencies"]
    assert f"{name}=={version(name)}" in constraints


def test_no_two_test_files_share_a_name():
    names = [path.name for path in ROOT.glob("tests/**/test_*.py")]
    assert sorted(set(names)) == sorted(names)
