"""The command line: JSON, exit codes, one-line errors; the scaffold and the report."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quire.common import claims, plots
from quire.common.claims import Measurement, Paper, above
from quire.common.claims.left_out import NotTested
from quire.common.cli import app as cli
from quire.common.cli import main
from quire.common.cli.scaffold import scaffold
from quire.common.cli.surroundings import restart_with_huge_pages
from quire.common.errors import DatasetUnavailable, UsageError
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
        ("new ünï", 2, "lower-case letters a-z"),
        (f"run crate --claim C4 --out {__file__}", 2, "a file stands there"),
        (f"bench crate --out {__file__}/below", 2, "a file stands there"),
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
    from quire.common.errors import DatasetUnavailable

    def no_data(preset, key):
        raise DatasetUnavailable("data set big is not here")

    for measure, code in ((lambda p, k: Measurement(1.0, "d"), 0), (lambda p, k: Measurement(0.0, "d"), 1), (no_data, 2)):
        monkeypatch.setattr(claims, "load", lambda slug, measure=measure: toy_paper(measure))
        assert quire("run toy --seeds 1")[0] == code


# --- Surroundings ---


def toy_paper(measure=lambda preset, key: Measurement(1.0, "d")):
    paper = Paper("toy", "Toy", "A", 2024, "V", "0", "toys", presets={"quick": 1, "standard": 1, "paper": 1})
    for id in ("C1", "C2"):
        paper.claim(id, says="s", source="t", metric="m", holds=above(0.5), exact=True)(measure)
    return paper


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_disk_that_fills_up_loses_nothing_that_was_measured(quire, monkeypatch, tmp_path, kept):
    """Refused at the first record, the last one, or at the figures."""
    written, replace = [], os.replace

    def fill_up(partial, path):
        if path.name.startswith("toy."):
            written.append(path)
            if len(written) > kept:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        replace(partial, path)

    def measure(preset, key):
        return Measurement(1.0, "d", figure=plots.axes()[0])

    monkeypatch.setattr(claims, "load", lambda slug: toy_paper(measure))
    monkeypatch.setattr(os, "replace", fill_up)
    code, out, err = quire(f"run toy --seeds 1 --json --out {tmp_path}")
    assert code == 2
    assert [claim["verdict"] for claim in json.loads(out)["claims"]] == ["reproduced", "reproduced"]
    assert len(err.splitlines()) == 1
    assert ("toy.quick.json" if kept < 2 else "toy.quick.C1.png") in err
    assert "No space left on device" in err


def test_no_device_ends_in_one_line_that_says_what_to_do(quire, monkeypatch):
    def no_device():
        raise AssertionError

    monkeypatch.setattr(claims, "load", lambda slug: toy_paper())
    monkeypatch.setattr("jax.devices", no_device)
    for platforms, message in (("cuda", "for JAX_PLATFORMS=cuda; unset it"), ("", "AssertionError; set JAX_PLATFORMS=cpu")):
        monkeypatch.setenv("JAX_PLATFORMS", platforms)
        code, out, err = quire("run toy")
        assert (code, out) == (2, "")
        assert err.startswith("quire: JAX has no device")
        assert message in err
        assert len(err.splitlines()) == 1


SURROUNDED = """
import pwd, sys
def nobody(uid): raise KeyError(uid)
pwd.getpwuid = nobody
from quire.common import claims, plots
from quire.common.claims import Measurement, Paper, above
from quire.common.cli import main
paper = Paper("toy", "Toy", "A", 2024, "V", "0", "toys", presets={"quick": 1, "standard": 1, "paper": 1})
paper.claim("C1", says="s", source="t", metric="m", holds=above(0.5), exact=True)(
    lambda preset, key: Measurement(1.0, "d", figure=plots.axes()[0])
)
claims.load = lambda slug: paper
main(sys.argv[1:])
"""


def test_backend_encoding_and_home_do_not_matter(tmp_path):
    surroundings = {"MPLBACKEND": "nonsense", "PYTHONIOENCODING": "cp1252", "MPLCONFIGDIR": "/proc/nowhere"}
    environment = {name: value for name, value in os.environ.items() if name != "HOME"} | surroundings
    command = [sys.executable, "-c", SURROUNDED, "run", "toy", "--seeds", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "? reproduced" in done.stdout.decode("cp1252")
    assert {path.name for path in tmp_path.iterdir()} == {"toy.quick.json", "toy.quick.C1.png"}


def test_a_full_stdout_is_one_line():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "quire.common.cli", "data", "list"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == "quire: the output could not be read or written: No space left on device\n"


def test_listing_needs_no_figures_and_no_notebooks():
    blocked = "import sys; sys.modules.update(dict.fromkeys(['matplotlib', 'nbconvert', 'nbformat', 'sklearn', 'scipy.stats']))"
    for line in ("list", "show crate"):
        code = f"{blocked}; from quire.common.cli import main; main({line.split()!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_bench_starts_again_in_huge_pages_once(monkeypatch):
    started = []
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "orig_argv", ["python", "/bin/quire", "bench", "crate"])
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    restart_with_huge_pages()
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")
    restart_with_huge_pages()
    ((program, arguments, environment),) = started
    assert (program, arguments) == (sys.executable, [sys.executable, "/bin/quire", "bench", "crate"])
    assert environment["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"


# --- Errors ---


def test_a_crash_is_one_line_and_debug_shows_it(quire, monkeypatch):
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


def test_scaffold_overwrites_nothing(tmp_path):
    scaffold(tmp_path, "twice")
    with pytest.raises(UsageError, match="exists already"):
        scaffold(tmp_path, "twice")
    with pytest.raises(UsageError, match="leave out quotes"):
        scaffold(tmp_path, "other", 'A "title"')


def test_a_new_paper_touches_its_own_files_only(tmp_path):
    written = {str(path.relative_to(tmp_path)) for path in scaffold(tmp_path, "fresh_paper")}
    assert all("fresh_paper" in path for path in written)
    modules = ("__init__", "config", "paper", "running_mean", "brute_force", "benchmark", "figures", "claims")
    assert {f"papers/fresh_paper/src/quire/fresh_paper/{name}.py" for name in modules} < written
    assert not [path for path in written if "$slug" in (tmp_path / path).read_text(encoding="utf-8", errors="ignore")]


# --- Report ---


def test_report_has_scoreboard_tables_and_notebooks(tmp_path):
    records = tmp_path / "records"
    records.mkdir()
    for slug in ("crate", "tensor_attention"):
        shutil.copy(ROOT / "papers" / slug / "records" / "quick.json", records / f"{slug}.json")
    pages = write_report(ROOT, tmp_path / "site", records)
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


@pytest.mark.parametrize(("error", "expected"), [(DatasetUnavailable, 2), (NotTested, 0)])
def test_what_a_preset_leaves_out_is_nothing_that_is_missing(quire, monkeypatch, error, expected):
    def measure(preset, key):
        raise error("the set of all sets")

    monkeypatch.setattr(claims, "load", lambda slug: toy_paper(measure))
    code, out, err = quire("run toy --seeds 1")
    assert code == expected and "not tested" in out
    assert ("for want of data" in err) == (expected == 2)


def test_readmes_say_what_the_records_say():
    assert update_readmes(ROOT, check=True) == []


def test_console_goes_to_stdout_only():
    assert not cli.out.stderr
    assert cli.err.stderr


def test_timings_are_no_records(tmp_path):
    (tmp_path / "crate.bench.json").write_text('{"paper": "crate", "title": "a benchmark", "variants": {}}')
    assert read_records(ROOT, tmp_path) == {}
    with pytest.raises(UsageError, match="no records in"):
        write_report(ROOT, tmp_path / "site", tmp_path)
