"""The `quire` command."""

import json
import os
import sys
import warnings
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from quire.common.cli.console import JSON, err, fail, out, print_json
from quire.common.cli.freshness import commands as freshness
from quire.common.cli.measure import bench, run
from quire.common.cli.surroundings import restart_with_huge_pages, settle
from quire.common.errors import QuireError
from quire.common.output import reason_of

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(help="Data sets: what they are, where they lie, how to get them.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(freshness)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a command and turns every error into one line and an exit code.

    Exit codes: 0 all as expected; 1 a verdict differs from what is expected, or a failure; 2 bad usage or missing data.
    """
    if arguments is None:
        arguments = sys.argv[1:]
        if "bench" in arguments[:2]:  # timings with the allocator's default would time page faults
            restart_with_huge_pages()
    settle()
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    if not debug:
        warnings.filterwarnings("ignore")
    try:
        code = typer.main.get_command(app).main(args=arguments, prog_name="quire", standalone_mode=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        if debug and not isinstance(error, (KeyboardInterrupt, BrokenPipeError)):
            raise
        code = _explain(error)
    sys.exit(code or 0)


def _explain(error: BaseException) -> int:
    """One line about an error, and its exit code."""
    usage_error = typer.BadParameter.__bases__[0]  # what the parser raises for every wrong argument
    if isinstance(error, usage_error):
        return _explain_usage(error)
    if isinstance(error, QuireError):
        return fail(str(error), 2)
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return fail("stopped", 130)
    if isinstance(error, OSError):
        _discard_stdout()
        if isinstance(error, BrokenPipeError):  # the reader has what it wanted
            return 1
        return fail(f"{error.filename or 'the output'} could not be read or written: {reason_of(error)}", 2)
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return fail(f"{type(error).__name__}: {first} (run again with --debug for the traceback)", 1)


def _explain_usage(error: Any) -> int:
    if message := error.format_message():
        return fail(f"{' '.join(message.split())} (see `{_help_of(error)}`)", 2)
    print(error.ctx.get_help())  # called without arguments: the help was asked for
    return 2


def _discard_stdout() -> None:
    """Where the rest cannot be written, forget it: the interpreter would try once more at its exit, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _help_of(error: Any) -> str:
    path = error.ctx.command_path if getattr(error, "ctx", None) else "quire"
    return f"{path} --help"


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
        print_json([_paper_json(paper) for paper in papers])
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
        print_json(_paper_json(paper) | {"presets": {k: _config_json(v) for k, v in paper.presets.items()}})
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


app.command()(run)
app.command()(bench)


@data_app.command("list")
def data_list(as_json: JSON = False) -> None:
    """List the data sets of the registry and where they lie."""
    from quire.common.data.registry import catalogue

    rows = [_dataset_json(dataset) for dataset in catalogue()]
    if as_json:
        print_json(rows)
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
        print_json(fetched)
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
        print_json({"name": found.name, "embedded": found.embedded, "paths": [str(path) for path in paths]})
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
        print_json({"index": str(pages[0]), "pages": [str(page) for page in pages]})
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
        print_json([str(path) for path in written])
        return
    print("\n".join(str(path) for path in written))
    print("next: make setup notebooks test; then replace the running mean by the paper's method, file by file")
