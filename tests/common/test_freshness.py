"""Freshness: closures, fingerprints, the guard, what is stale, what a diff affects, what the lanes execute."""

import ast
import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from quire.common.errors import UsageError
from quire.common.freshness.affected import Affected, affected
from quire.common.freshness.checkout import notebook_path, packages, papers, record_path, write_json
from quire.common.freshness.closure import closure
from quire.common.freshness.fingerprint import checkout_sources, fingerprint, parts, running_parts, stale, stamp
from quire.common.freshness.guard import OutsideClosure, guard
from quire.common.freshness.modules import Module, Sources

ROOT = Path(__file__).parents[2]

COMMON = """
==> __init__.py
==> errors.py
class Wrong(ValueError):
    pass
==> report.py
def page():
    return "page"
==> sums/__init__.py
"A docstring."
from quire.common.sums.plain import total as total_of
from .means import mean
==> sums/plain.py
import math

LIMIT = 3


def total(x):
    "Sum."
    return math.fsum(x)


def unused(x):
    return LIMIT
==> sums/means.py
from ..errors import Wrong
from . import plain as p


def mean(x):
    if not x:
        raise Wrong
    return p.total(x) / len(x)
==> rules.py
def rule(x):
    return x


def derivative(x):
    return 1


rule.register = print
rule.register(derivative)
==> late.py
def late():
    return 1
==> data/catalogue/digits.toml
about = "digits"
==> data/catalogue/words.toml
about = "words"
"""
PAPERS = """
==> a
from quire.common.report import page
from quire.common.sums import total_of

DATA = "digits"


def value():
    return total_of([1, 2])
==> b
import quire.common.sums as s


def value():
    from quire.common.late import late
    return s.mean([1, 2]) + late()
==> c
from quire.common.rules import rule

value = rule(1)
"""
CELLS = {"a": "%matplotlib inline\nfrom quire.a import value\nvalue()", "b": "from quire.b import value\nvalue()", "c": "1 + 1"}


def files(text):
    """Parts of a text by the names in the lines `==> name`."""
    parts = re.split(r"^==> (.*)\n", text, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture
def root(tmp_path):
    """A checkout with three papers: `a` sums, `b` takes means and imports late, `c` uses a function with a registered rule."""
    for name, text in files(COMMON).items():
        path = tmp_path / "common/src/quire/common" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for slug, text in files(PAPERS).items():
        package = tmp_path / f"papers/{slug}/src/quire/{slug}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(text)
        (package / "table.csv").write_text("1,2\n")
        (tmp_path / f"papers/{slug}/pyproject.toml").write_text("[project]\n")
        (tmp_path / f"papers/{slug}/records").mkdir()
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        publish(tmp_path, slug)
    return tmp_path


def publish(root, slug):
    """What an execution of the notebook writes: cells, record, stamps."""
    cell = {"cell_type": "code", "source": CELLS[slug], "metadata": {}, "outputs": [], "execution_count": 1}
    write_json(notebook_path(root, slug), {"cells": [cell], "metadata": {}})
    record = stamp(
        root, slug, {"paper": slug, "preset": "quick", "parts": {"data digits": "here"}}, seconds=60.0, verified="2026-01-01"
    )
    write_json(record_path(root, slug), record)
    write_json(notebook_path(root, slug), {"cells": [cell], "metadata": {"quire": {"fingerprint": record["fingerprint"]}}})


def edit(root, name, old, new):
    path = root / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def all_stale(root):
    return {slug for slug in papers(root) if stale(root, slug)}


SUMS, MEANS, RULES = (f"common/src/quire/common/{name}.py" for name in ("sums/plain", "sums/means", "rules"))


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        (SUMS, "return math.fsum(x)", "return sum(x)", {"a", "b"}),  # through two re-exports and an alias
        (MEANS, "len(x)", "(len(x) - 1)", {"b"}),
        (SUMS, "import math", "import cmath as math", {"a", "b"}),  # the same text, another library
        (SUMS, "return LIMIT", "return 4", set()),  # a function that nobody calls
        (SUMS, "LIMIT = 3", "LIMIT = 4", set()),
        (SUMS, "def unused", "import json\n\n\ndef more():\n    return json\n\n\ndef unused", set()),
        (SUMS, '"Sum."', "'The sum, compensated.'  # as Shewchuk has it", set()),
        (SUMS, "return math.fsum(x)", "# A comment.\n\n    return math.fsum( x )", set()),
        (SUMS, "def total(x):", "import decimal\n\n\ndef total(x: list[decimal.Decimal]) -> float:", set()),  # computes nothing
        (
            "papers/c/src/quire/c/__init__.py",
            "value = rule(1)",
            "from quire.common.errors import Wrong\nvalue: Wrong = rule(1)",
            set(),
        ),
        ("papers/c/src/quire/c/__init__.py", "value = rule(1)", "import decimal\nvalue: decimal.Decimal = rule(1)", set()),
        ("papers/c/src/quire/c/__init__.py", "value = rule(1)", "import decimal\nvalue = rule(decimal)", {"c"}),
        ("common/src/quire/common/report.py", '"page"', "'another page'", set()),  # exempt: it shows numbers and makes none
        ("common/src/quire/common/late.py", "return 1", "return 2", {"b"}),  # imported inside a function
        (RULES, "return 1", "return 2", {"c"}),  # reached by registration alone
        ("common/src/quire/common/errors.py", "pass", "code = 1", {"b"}),  # by a relative import
        ("common/src/quire/common/data/catalogue/digits.toml", "digits", "other digits", {"a"}),
        ("common/src/quire/common/data/catalogue/words.toml", "words", "other words", set()),
        ("papers/a/src/quire/a/table.csv", "1", "3", {"a"}),
        ("notebooks/c.ipynb", "1 + 1", "1 + 2", {"c"}),
    ],
)
def test_a_change_makes_exactly_its_papers_stale(root, name, old, new, expected):
    assert all_stale(root) == set()
    edit(root, name, old, new)
    assert all_stale(root) == expected


def test_what_is_stale_says_why(root):
    edit(root, MEANS, "len(x)", "2")
    assert stale(root, "b") == {"quire.common.sums.means": "changed"}
    record = json.loads(record_path(root, "a").read_text())
    record["parts"] |= {"jax": "0.0.1"}
    write_json(record_path(root, "a"), record)
    assert stale(root, "a") == {"record": "edited"}
    write_json(record_path(root, "a"), record | {"fingerprint": fingerprint(record["parts"], "quick")})
    assert stale(root, "a") == {"notebook": "of another execution than the record"}
    twin = json.loads(notebook_path(root, "a").read_text())
    twin["metadata"]["quire"]["fingerprint"] = fingerprint(record["parts"], "quick")
    write_json(notebook_path(root, "a"), twin)
    assert stale(root, "a") == {"jax": "changed"}
    record_path(root, "a").unlink()
    assert stale(root, "a") == {"record": "not stamped"}


def test_a_record_of_other_sources_is_not_stamped(root):
    measured = {"paper": "a", "preset": "quick", "parts": {"jax": "0.0.1"}}
    with pytest.raises(UsageError, match="jax changed while a ran"):
        stamp(root, "a", measured)


def test_layout_and_python_s_version_make_no_difference_but_values_do():
    def part(text):
        return closure(Sources({}, {"s": text}), ["s"]).parts()["s"]

    assert part("def f(x):\n  return x+1") == part("def f(x):\n\n    'Doc.'\n    return (x + 1)  # why")
    assert len({part(f"x = {value}") for value in ("1", "1.0", "True", "'1'", "None", "-1")}) == 6


def test_annotations_make_no_difference_but_the_fields_that_they_declare_do():
    def part(text, **options):
        return closure(Sources({}, {"s": text}), ["s"], **({"typed": False} | options)).parts()["s"]

    plain, typed = (
        "def f(x, *y, z=1):\n  a = z\n  return a",
        "def f(x: int, *y: int, z: int = 1) -> int:\n  a: int = z\n  return a",
    )
    assert part(plain) == part(typed)
    assert part(plain, typed=True) != part(typed, typed=True)
    fields = ("x = 1", "x: int = 1", "x: ClassVar[int] = 1", "x: typing.InitVar[int] = 1", "y: int = 1", "pass")
    assert len({part(f"class A:\n  {field}") for field in fields}) == len(fields)
    assert part("class A:\n  x: int") == part("class A:\n  x: 'float'")


def test_names_are_found_where_they_are_hidden():
    texts = {
        "typing": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from quire.common.late import late\nx: 'late' = late",
        "string": "WHERE = 'quire.common.late:late'",
        "star": "from quire.common.late import *\nlate()",
        "dotted": "import quire.common.late\nquire.common.late.late()",
        "try": "try:\n    from quire.common.late import late\nexcept ImportError:\n    late = None",
    }
    for kind, text in texts.items():
        sources = Sources({"quire.common": Path("/nowhere")}, {kind: text})
        sources._read |= {
            name: Module(name, is_package, ast.parse(body))
            for name, is_package, body in (("quire.common", True, ""), ("quire.common.late", False, files(COMMON)["late.py"]))
        }
        assert closure(sources, [kind]).names.get("quire.common.late") == {"late"}, kind


# --- The guard ---

TOY = """
==> __init__.py
==> core.py
import toy.other

SIZE = 2


def used():
    return SIZE


def unused():
    return 3


class Left:
    size = 4


unused.rule = 1
unused.rule.bit_length()
==> other.py
def far():
    return 5
==> hidden.py
x = 6
==> front.py
import importlib

from toy.core import used


def good():
    return used()


def module(name):
    return importlib.import_module("toy." + name)
"""


@pytest.fixture
def front(tmp_path, monkeypatch):
    """The module `toy.front`, imported under the guard of its closure."""
    for name, text in files(TOY).items():
        (tmp_path / "toy").mkdir(exist_ok=True)
        (tmp_path / "toy" / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    guard(closure(Sources({"toy": tmp_path / "toy"}), ["toy.front"]), "toy")
    yield importlib.import_module("toy.front")
    for name in [name for name in sys.modules if name == "toy" or name.startswith("toy.")]:
        del sys.modules[name]


def test_what_the_closure_reaches_runs(front):
    assert front.good() == 2


@pytest.mark.parametrize(
    "use", [lambda f: f.module("core").unused(), lambda f: f.module("core").Left.size, lambda f: f.module("other").far()]
)
def test_what_the_closure_misses_raises_on_use(front, use):
    with pytest.raises(OutsideClosure, match=r"toy\.\w+\.(unused|Left|far) is used"):
        use(front)


def test_a_module_that_the_closure_misses_cannot_be_imported(front):
    with pytest.raises(OutsideClosure, match=r"toy\.hidden is used"):
        front.module("hidden")


# --- A checkout ---


def test_a_paper_rests_on_its_package_its_notebook_and_what_they_use():
    sources = Sources(packages(ROOT), checkout_sources(ROOT, "tensor_attention").scripts)
    found = parts(sources, "tensor_attention")
    assert {"quire.tensor_attention.claims", "notebook", "jax", "quire.common.layers.tensor_attention"} <= set(found)
    assert not {name.split(".")[1] for name in found if name.startswith("quire.")} - {"common", "tensor_attention"}
    assert not {"quire.common.pde.fluid", "quire.common.claims.display", "quire.common.cli.app"} & set(found)
    here = running_parts("tensor_attention")  # as a process has it: without the notebook, with the data that are there
    alone = parts(Sources(sources.packages), "tensor_attention")
    assert {name: value for name, value in here.items() if not name.startswith("data ")} == alone


@pytest.mark.records
@pytest.mark.parametrize("slug", papers(ROOT))
def test_records_agree_with_the_sources(slug):
    assert stale(ROOT, slug) == {}, f"make notebooks PAPERS={slug} measures again"


def test_stale_needs_no_jax():
    command = (
        "import sys; from quire.common.cli import main\ntry: main(['stale', '--json'])\nfinally: assert 'jax' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert "AssertionError" not in done.stderr
    assert done.returncode == bool(json.loads(done.stdout))


def git(root, *arguments):
    who = ("-c", "user.name=A", "-c", "user.email=a@b.c")
    subprocess.run(["git", "-C", str(root), *who, *arguments], check=True, capture_output=True)


def test_affected_lists_papers_notebooks_and_tests(root):
    tests = {
        "test_sums.py": "from quire.common.sums import mean\n\n\ndef test_mean():\n    assert mean([1])\n",
        "test_late.py": "from quire.common.late import late\n\n\ndef test_late():\n    assert late()\n",
        "test_named.py": "def test_named(golden):\n    golden('a')\n",
        "test_tree.py": "from pathlib import Path\n\nROOT = Path(__file__).parents[2]\n",
    }
    (root / "tests/common").mkdir(parents=True)
    for name, text in tests.items():
        (root / "tests/common" / name).write_text(text)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "start")
    assert affected(root, "HEAD") == Affected([], [], [], [], [])
    edit(root, MEANS, "len(x)", "2")
    expected = Affected(["b"], [], ["notebooks/b.ipynb"], ["tests/common/test_sums.py", "tests/common/test_tree.py"], [MEANS])
    assert affected(root, "HEAD") == expected
    edit(root, MEANS, "2", "len(x)")
    edit(root, "papers/a/src/quire/a/__init__.py", "[1, 2]", "[1, 3]")
    found = affected(root, "HEAD")
    assert (found.papers, found.own) == (["a"], ["a"])
    assert found.tests == ["tests/common/test_named.py", "tests/common/test_tree.py"]
    with pytest.raises(UsageError, match="nonsense"):
        affected(root, "nonsense")


# --- Lanes ---


@pytest.fixture(scope="module")
def lanes():
    spec = importlib.util.spec_from_file_location("lanes", ROOT / "ci/lanes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_notebooks_of_make_test_are_this_change_then_the_oldest_within_the_budget(lanes):
    records = {f"p{n}": {"seconds": 100.0, "verified": f"2026-01-0{9 - n}"} for n in range(9)}
    change = Affected(["p0", "p3"], ["p3"], [], [], [])
    chosen, left = lanes.choose(records, {"p0", "p1", "p2", "p4"}, change, 0)
    assert chosen == ["p3", "p0", "p4"] and left == ["p2", "p1"]
    everything = {slug: record | {"seconds": 500.0} for slug, record in records.items()}
    assert lanes.choose(everything, set(records), change, 0) == (["p3"], ["p0", "p8", "p7", "p6", "p5", "p4", "p2", "p1"])
    measured = Affected(list(records), list(records), [], [], [])  # a change of all papers, whose records were measured with it
    assert lanes.choose(records, {"p8"}, measured, 0) == (["p8", "p0", "p1"], [])
    cheap = {slug: record | {"seconds": 1.0} for slug, record in records.items()}
    rounds = [lanes.choose(cheap, set(), Affected([], [], [], [], []), turn)[0] for turn in range(3)]
    assert all(len(names) == 4 for names in rounds) and set().union(*rounds) == set(records)


def test_shards_hold_every_paper_once_and_weigh_alike(lanes):
    records = {f"p{n}": {"seconds": 10.0 + 7 * n} for n in range(20)}
    groups = lanes.pack(records, 4)
    assert sorted(slug for group in groups for slug in group) == sorted(records)
    loads = [sum(records[slug]["seconds"] for slug in group) for group in groups]
    assert max(loads) - min(loads) < 40
