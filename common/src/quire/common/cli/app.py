"""The `quire` command."""

import json
import os
import sys
import warnings
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from quire.common.cli.freshness import commands as freshness
from quire.common.errors import QuireError, UsageError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(help="Data sets: what they are, where they lie, how to get them.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(freshness)

# stdout carries results only; progress, notes and errors go to stderr, so that `--json | jq` works.
# Where nothing says how wide the output may be (a pipe, a log), tables take 120 columns instead of rich's 80.
WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
out = Console(width=WIDTH)
err = Console(stderr=True, width=WIDTH)

JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a command and turns every error into one line and an exit code.

    Exit codes: 0 all as expected; 1 a verdict differs from what is expected, or a failure; 2 bad usage or missing data.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    if not debug:
        warnings.filterwarnings("ignore")
    command = typer.main.get_command(app)
    usage_error = typer.BadParameter.__bases__[0]  # what the parser raises for every wrong argument
    try:
        code = command.main(args=arguments, prog_name="quire", standalone_mode=False)
    except usage_error as error:
        if debug:
            raise
        if not error.format_message():  # called without arguments: the help was asked for
            print(error.ctx.get_help())
            code = 2
        else:
            code = _fail(f"{' '.join(error.format_message().split())} (see `{_help_of(error)}`)", 2)
    except QuireError as error:
        if debug:
            raise
        code = _fail(str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail("stopped", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if debug:
            raise
        first = (str(error).strip().splitlines() or [""])[0]
        code = _fail(f"{type(error).__name__}: {first} (run again with --debug for the traceback)", 1)
    sys.exit(code or 0)


def _help_of(error: Any) -> str:
    path = error.ctx.command_path if getattr(error, "ctx", None) else "quire"
    return f"{path} --help"


def _fail(message: str, code: int) -> int:
    print(f"quire: {message}", file=sys.stderr)
    return code


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


@contextmanager
def _progress():
    from quire.common.claims.run import progress_bar

    with progress_bar(console=err, transient=not err.is_terminal) as progress:
        yield progress


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere on the line.")] = False,
) -> None:
    """Papers as packages, claims as measured numbers."""


@app.command("list")
def list_papers(as_json: JSON = False) -> None:
    """List the installed papers."""
    from quire.common.claims import installed, load

    papers = [load(slug) for slug in installed()]
    if as_json:
        _print_json([_paper_json(paper) for paper in papers])
        return
    table = Table("paper", "title", "year", "area", "claims")
    for paper in papers:
        table.add_row(paper.slug, paper.title, str(paper.year), paper.area, str(len(paper.claims)))
    out.print(table)


@app.command()
def show(slug: Annotated[str, typer.Argument(help="Paper, as `quire list` names it.")], as_json: JSON = False) -> None:
    """Show a paper: citation, presets and claims."""
    from quire.common.claims import load

    paper = load(slug)
    if as_json:
        _print_json(_paper_json(paper) | {"presets": {k: _config_json(v) for k, v in paper.presets.items()}})
        return
    out.print(f"[bold]{paper.title}[/bold]\n{paper.citation}\n{paper.area}; authors' code: {paper.code or 'none found'}")
    table = Table("claim", "the paper says", "source", "metric", "holds when", "expected", show_lines=True)
    for claim in paper.claims.values():
        table.add_row(claim.id, claim.says, claim.source, claim.metric, str(claim.holds), claim.expect)
    out.print(table)


def _paper_json(paper: Any) -> dict[str, Any]:
    fields = ("slug", "title", "authors", "year", "venue", "arxiv", "code", "licence", "area")
    claims = [
        {
            "id": c.id,
            "says": c.says,
            "source": c.source,
            "metric": c.metric,
            "unit": c.unit,
            "criterion": str(c.holds),
            "exact": c.exact,
            "trivial": c.trivial,
            "seeds": c.seeds,
            "expected": c.expect,
            "because": c.because,
        }
        for c in paper.claims.values()
    ]
    return {name: getattr(paper, name) for name in fields} | {"benchmark": paper.benchmark is not None, "claims": claims}


def _config_json(config: Any) -> Any:
    return json.loads(json.dumps(asdict(config) if is_dataclass(config) else config, default=str))


@app.command()
def run(
    slugs: Annotated[list[str], typer.Argument(help="Papers to run.")],
    preset: Annotated[str, typer.Option(help="quick, standard or paper.")] = "quick",
    claim: Annotated[list[str] | None, typer.Option(help="Only this claim; may be given several times.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds per claim; each claim's own number by default.")] = None,
    folder: Annotated[Path | None, typer.Option("--out", help="Folder for records and figures.")] = None,
    resume: Annotated[bool, typer.Option(help="Keep claims already in the record of --out.")] = False,
    as_json: JSON = False,
) -> None:
    """Measure the claims of papers and judge them."""
    from quire.common.claims import load
    from quire.common.claims.display import summary_line, terminal_table
    from quire.common.claims.run import run as run_paper

    if resume and folder is None:
        raise UsageError("--resume needs --out, the folder with the record to go on with")
    papers = [load(slug) for slug in slugs]
    if claim and len(papers) > 1:
        raise UsageError("--claim goes with one paper; run the papers one by one")
    if seeds is not None and seeds < 1:
        raise UsageError(f"--seeds is {seeds}; it must be at least 1")
    for paper in papers:  # every argument is checked before the first minute is spent
        paper.preset(preset)
        for id in claim or ():
            paper.find_claim(id)
    records = []
    with _progress() as progress:
        for paper in papers:
            records.append(run_paper(paper, preset, claim, seeds=seeds, out=folder, resume=resume, progress=progress))
    if folder is not None:
        _save_figures(records, folder)
    if as_json:
        written = [record.as_json() for record in records]
        _print_json(written[0] if len(written) == 1 else written)
    else:
        for record in records:
            out.print(terminal_table(record.as_json()))
            out.print(summary_line(record.entries()), "\n")
    if not all(record.as_expected for record in records):
        raise typer.Exit(1)
    if untested := [f"{record.paper.slug} {id}" for record in records for id in record.untested]:
        _fail(f"not tested for want of data: {', '.join(untested)} (the table says what is missing)", 2)
        raise typer.Exit(2)


def _save_figures(records: list[Any], folder: Path) -> None:
    for record in records:
        for result in record.results:
            figure = next((m.figure for m in result.samples if m.figure is not None), None)
            if figure is not None:
                figure.savefig(folder / f"{record.paper.slug}.{record.preset}.{result.claim.id}.png", dpi=90, bbox_inches="tight")


@app.command()
def bench(
    slugs: Annotated[list[str], typer.Argument(help="Papers to time.")],
    size: Annotated[list[int] | None, typer.Option(help="Only this size; may be given several times.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed calls per point.")] = 7,
    folder: Annotated[Path | None, typer.Option("--out", help="Folder for the figure and the numbers.")] = None,
    as_json: JSON = False,
) -> None:
    """Time a paper's hot operation against its naive form, in the same run."""
    from quire.common.bench import run_benchmark
    from quire.common.claims import load

    if repeats < 1 or any(s < 1 for s in size or ()):
        raise UsageError("--repeats and --size must be at least 1")
    papers = [load(slug) for slug in slugs]
    if bare := [paper.slug for paper in papers if paper.benchmark is None]:
        raise UsageError(f"{', '.join(bare)} has no benchmark")
    with _progress() as progress:
        reports = [run_benchmark(paper, sizes=size, repeats=repeats, progress=progress) for paper in papers]
    for report in reports:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            report.figure().savefig(folder / f"{report.paper.slug}.bench.png", dpi=110)
            (folder / f"{report.paper.slug}.bench.json").write_text(json.dumps(report.as_json(), indent=1) + "\n")
        if not as_json:
            _print_bench(report.as_json())
    if as_json:
        written = [report.as_json() for report in reports]
        _print_json(written[0] if len(written) == 1 else written)


def _print_bench(report: dict[str, Any]) -> None:
    table = Table(title=f"{report['title']} (matrix product {report['matmul_gflops']:.1f} GFLOP/s)", title_justify="left")
    for heading in ("variant", report["size"], "median", "compile", "GFLOP/s", "of matmul", "temporaries"):
        table.add_column(heading, justify="left" if heading == "variant" else "right")
    for name, rows in report["variants"].items():
        for row in rows:
            table.add_row(
                name,
                str(row["size"]),
                f"{row['median_s'] * 1e3:.2f} ms",
                f"{row['compile_s']:.2f} s",
                f"{row['gflops']:.1f}",
                f"{row['of_matmul']:.0%}",
                f"{row['temporary_bytes'] / 1e6:.1f} MB",
            )
    out.print(table)
    out.print("log-log slopes: " + ", ".join(f"{name} {slope:.2f}" for name, slope in report["slopes"].items()))


@data_app.command("list")
def data_list(as_json: JSON = False) -> None:
    """List the data sets of the registry and where they lie."""
    from quire.common.data.registry import catalogue

    rows = [_dataset_json(dataset) for dataset in catalogue()]
    if as_json:
        _print_json(rows)
        return
    table = Table("data set", "content", "size", "here", "licence")
    for row in rows:
        size = f"{row['bytes'] / 1e6:.1f} MB" if row["bytes"] else ""
        table.add_row(row["name"], row["about"], size, row["where"] or "no", row["licence"])
    out.print(table)


def _dataset_json(dataset: Any) -> dict[str, Any]:
    from quire.common.data.registry import local_path

    folder = local_path(dataset.name)
    return {
        "name": dataset.name,
        "about": dataset.about,
        "licence": dataset.licence,
        "source": dataset.source,
        "bytes": dataset.size,
        "embedded": dataset.embedded,
        "where": "in a package" if dataset.embedded else str(folder) if folder else None,
        "files": [file.name for file in dataset.files],
    }


@data_app.command("fetch")
def data_fetch(names: Annotated[list[str], typer.Argument(help="Data sets to fetch.")], as_json: JSON = False) -> None:
    """Fetch data sets into the cache, unless they are here already, and check their digests."""
    from quire.common.data.registry import dataset, fetch_all

    fetched = {found.name: [str(path) for path in fetch_all(found.name)] for found in list(map(dataset, names))}
    if as_json:
        _print_json(fetched)
        return
    for name, paths in fetched.items():
        print("\n".join(paths) or f"{name} ships with a package; nothing to fetch")


@data_app.command("path")
def data_path(name: Annotated[str, typer.Argument(help="A data set.")], as_json: JSON = False) -> None:
    """Print where the files of a data set lie, without downloading any."""
    from quire.common.data.registry import dataset, local_paths, unavailable

    found, paths = dataset(name), local_paths(name)
    if not paths and not found.embedded:
        raise unavailable(name, "it has not been fetched")
    if as_json:
        _print_json({"name": found.name, "embedded": found.embedded, "paths": [str(path) for path in paths]})
    else:
        print("\n".join(str(path) for path in paths) or f"{found.name} ships with {found.source}")


@app.command()
def report(
    folder: Annotated[Path, typer.Option("--out", help="Folder for the pages.")] = Path("site"),
    records: Annotated[
        Path | None, typer.Option(help="Folder of records (`quire run --out`); the published ones by default.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Checkout with papers/ and notebooks/; found from here by default.")] = None,
    as_json: JSON = False,
) -> None:
    """Write the HTML report: scoreboard, claim tables, rendered notebooks."""
    from quire.common.freshness.checkout import find_root
    from quire.common.report import write_report

    with err.status("rendering"):
        pages = write_report(find_root(root), folder, records)
    if as_json:
        _print_json({"index": str(pages[0]), "pages": [str(page) for page in pages]})
    else:
        print(f"{len(pages)} pages; open {pages[0]}")


@app.command()
def new(
    slug: Annotated[str, typer.Argument(help="Name of the paper: folder, import, notebook, test.")],
    title: Annotated[str, typer.Option(help="Title of the paper.")] = "",
    root: Annotated[Path | None, typer.Option(help="Checkout to add the paper to; found from here by default.")] = None,
    as_json: JSON = False,
) -> None:
    """Scaffold a paper that passes its own tests."""
    from quire.common.cli.scaffold import scaffold
    from quire.common.freshness.checkout import find_root

    written = scaffold(find_root(root), slug.replace("-", "_"), title)
    if as_json:
        _print_json([str(path) for path in written])
        return
    print("\n".join(str(path) for path in written))
    print("next: uv sync --all-packages, then make notebooks and make test; replace the running mean by the paper's method")
