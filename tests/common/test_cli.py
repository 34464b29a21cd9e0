"""The command line: JSON, exit codes, one-line errors; the scaffold and the report."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quire.common.cli import app as cli
from quire.common.cli import main
from quire.common.cli.scaffold import scaffold
from quire.common.errors import UsageError
from quire.common.freshness.checkout import find_root
from quire.common.report import read_records, update_readmes, write_report

ROOT = Path(__file__).parents[2]


@pytest.fixture
def quire(capsys, monkeypatch):
    """Runs a command line in this process: exit code, stdout, stderr."""

    def call(line: str):
        with pytest.raises(SystemExit) as exit:
            main(line.split())
        captured = capsys.readouterr()
        return exit.value.code, captured.out, captured.err

    return call


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("lst", 2, "No such command 'lst'"),
        ("show", 2, "Missing argument"),
        ("show crat", 2, "did you mean crate"),
        ("run nothing-like-it", 2, "no paper is called"),
        ("run crate --preset quik", 2, "did you mean quick"),
        ("run crate --claim Z9", 2, "no claim 'Z9'"),
        ("run crate --seeds 0", 2, "seeds is 0"),
        ("run crate --seeds two", 2, "--seeds"),
        ("run crate --resume", 2, "--resume needs --out"),
        ("run crate tensor_attention --claim C1", 2, "--claim goes with one paper"),
        ("run crate --frobnicate", 2, "frobnicate"),
        ("bench crate --repeats 0", 2, "at least 1"),
        ("bench crat", 2, "did you mean crate"),
        ("data path nope", 2, "no data set is called"),
        ("data fetch imagenet-1k", 2, "image-net.org"),
        ("report --root /", 2, "no checkout of quire"),
        ("report --records /nowhere", 2, "not a folder"),
        ("new Bad.Name", 2, "cannot name a paper"),
        ("new common", 2, "cannot name a paper"),
    ],
)
def test_wrong_arguments_give_one_line_and_a_code(quire, monkeypatch, tmp_path, line, code, message):
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    monkeypatch.delenv("QUIRE_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    got, out, err = quire(line)
    assert got == code
    assert message in err
    assert err.startswith("quire: ")
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err + out


def test_lists_and_shows(quire):
    code, out, _ = quire("list --json")
    papers = {paper["slug"]: paper for paper in json.loads(out)}
    assert code == 0
    assert {"crate", "tensor_attention"} <= set(papers)
    assert papers["crate"]["arxiv"] == "2311.13110"
    code, out, _ = quire("show tensor-attention --json")  # hyphens count as underscores
    shown = json.loads(out)
    assert shown["slug"] == "tensor_attention"
    assert set(shown["presets"]) == {"quick", "standard", "paper"}
    assert all(claim["criterion"] and (claim["exact"] or claim["trivial"]) for claim in shown["claims"])
    for line in ("list", "show crate", "data list", "--help"):
        assert quire(line)[0] == 0
    assert quire("")[0] == 2


def test_data_commands(quire):
    code, out, _ = quire("data list --json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["digits"]["embedded"]
    assert {"cifar10-subset", "mnist-t10k", "wikitext-2"} <= set(rows)
    assert all({"licence", "source", "bytes", "where"} <= set(row) for row in rows.values())
    assert json.loads(quire("data path digits --json")[1]) == {"name": "digits", "embedded": True, "paths": []}
    assert json.loads(quire("data fetch digits --json")[1]) == {"digits": []}


def test_real_data_has_a_path(quire, quire_data):
    for name in ("wikitext-2", "cifar10-subset", "mnist_t10k"):
        if (quire_data / name.replace("_", "-")).is_dir():
            code, out, _ = quire(f"data fetch {name}")
            assert code == 0
            assert all(Path(line).is_file() for line in out.splitlines())


def test_run_prints_json_and_writes_a_record(quire, tmp_path):
    code, out, _ = quire(f"run crate --claim c4 --json --out {tmp_path}")
    record = json.loads(out)
    assert code == 0
    assert record["paper"] == "crate"
    assert [claim["verdict"] for claim in record["claims"]] == ["reproduced"]
    assert json.loads((tmp_path / "crate.quick.json").read_text())["claims"] == record["claims"]


def test_an_unexpected_verdict_exits_with_1_and_missing_data_with_2(quire, monkeypatch):
    from quire.common import claims
    from quire.common.claims import Measurement, above
    from quire.common.errors import DatasetUnavailable

    def paper_with(measure):
        paper = claims.Paper("toy", "Toy", "A", 2024, "V", "0", "toys", presets={"quick": 1, "standard": 1, "paper": 1})
        paper.claim("C1", says="s", source="t", metric="m", holds=above(0.5), exact=True)(measure)
        return paper

    def no_data(preset, key):
        raise DatasetUnavailable("data set big is not here")

    for measure, code in ((lambda p, k: Measurement(1.0, "d"), 0), (lambda p, k: Measurement(0.0, "d"), 1), (no_data, 2)):
        monkeypatch.setattr(claims, "load", lambda slug, measure=measure: paper_with(measure))
        assert quire("run toy --seeds 1")[0] == code


def test_a_crash_is_one_line_and_debug_shows_it(quire, monkeypatch):
    from quire.common import claims

    def crash(slug):
        raise RuntimeError("boom\nsecond line")

    monkeypatch.setattr(claims, "load", crash)
    code, _, err = quire("show crate")
    assert code == 1
    assert err.strip() == "quire: RuntimeError: boom (run again with --debug for the traceback)"
    with pytest.raises(RuntimeError, match="boom"):
        main(["show", "crate", "--debug"])


def test_bench_reports_both_forms_slopes_and_the_matrix_product(quire, tmp_path):
    code, out, _ = quire(f"bench tensor_attention --size 16 --size 32 --size 64 --repeats 3 --json --out {tmp_path}")
    report = json.loads(out)
    assert code == 0
    assert report["matmul_gflops"] > 0
    assert len(report["variants"]) >= 2
    row = next(iter(report["variants"].values()))[0]
    assert {"size", "median_s", "compile_s", "gflops", "of_matmul", "temporary_bytes"} <= set(row)
    assert set(report["slopes"]) <= set(report["variants"])
    assert (tmp_path / "tensor_attention.bench.png").stat().st_size > 1000


# --- Scaffold ---


@pytest.fixture
def checkout(tmp_path):
    for folder in ("papers", "notebooks", "tests/papers", "tests/golden"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "tests/conftest.py")
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


def test_a_new_paper_passes_its_own_tests(checkout):
    scaffold(checkout, "fresh_paper", "A fresh paper")
    assert "$" not in (checkout / "papers/fresh_paper/src/quire/fresh_paper/__init__.py").read_text()
    package = checkout / "papers/fresh_paper"
    environment = {**os.environ, "PYTHONPATH": f"{package / 'src'}:{ROOT / 'common/src'}"}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", "--doctest-modules", str(package / "src")]
    done = subprocess.run(tests, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    for command in ("check", "format --check"):
        lint = [sys.executable, "-m", "ruff", *command.split(), "--no-cache", "papers", "tests", "notebooks"]
        done = subprocess.run(lint, cwd=checkout, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    notebook = [sys.executable, "-m", "pytest", "-q", "--nbmake", "--nbmake-kernel=python3", "notebooks"]
    done = subprocess.run(notebook, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]


def test_scaffold_overwrites_nothing(checkout):
    scaffold(checkout, "twice")
    with pytest.raises(UsageError, match="exists already"):
        scaffold(checkout, "twice")
    with pytest.raises(UsageError, match="leave out quotes"):
        scaffold(checkout, "other", 'A "title"')


# --- Report ---


def test_report_has_scoreboard_tables_and_notebooks(tmp_path):
    pages = write_report(ROOT, tmp_path / "site")
    index = pages[0].read_text(encoding="utf-8")
    assert {page.name for page in pages} >= {"index.html", "crate.html", "tensor_attention.html"}
    assert "crate.html" in index
    assert "<table>" in (tmp_path / "site/crate.html").read_text(encoding="utf-8")
    assert "<img" in (tmp_path / "site/crate.notebook.html").read_text(encoding="utf-8")


def test_report_refuses_what_is_not_a_record(tmp_path):
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(UsageError, match="not a record"):
        read_records(ROOT, tmp_path)
    with pytest.raises(UsageError, match="no checkout"):
        find_root(tmp_path)


def test_readmes_say_what_the_records_say():
    assert update_readmes(ROOT, check=True) == []


def test_console_goes_to_stdout_only():
    assert not cli.out.stderr
    assert cli.err.stderr
