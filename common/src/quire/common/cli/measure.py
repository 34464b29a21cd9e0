"""`quire run` and `quire bench`: arguments are checked before the first minute, results shown even when the disk is full."""

import io
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from quire.common.cli.console import JSON, fail, out, print_json, progress
from quire.common.cli.surroundings import require_device
from quire.common.errors import UsageError
from quire.common.output import NotWritten, output_folder, reason_of, write_whole


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
    papers = _checked_papers(slugs, preset, claim, seeds, folder, resume)
    records, unwritten = [], []
    with progress() as display:
        for paper in papers:
            records.append(_measured(paper, preset, claim, seeds, folder, resume, display, unwritten))
    _print_records(records, as_json)
    if folder is not None:
        unwritten += [problem for record in records for problem in _save_figures(record, folder)]
    if unwritten:
        raise typer.Exit(fail("; ".join(unwritten), 2))
    if not all(record.as_expected for record in records):
        raise typer.Exit(1)
    from quire.common.claims.left_out import is_left_out  # brings the figures along

    missing = [(record, result) for record in records for result in record.results if result.verdict == "not tested"]
    if untested := [f"{record.paper.slug} {result.claim.id}" for record, result in missing if not is_left_out(result)]:
        raise typer.Exit(fail(f"not tested for want of data: {', '.join(untested)} (the table says what is missing)", 2))


def _checked_papers(slugs, preset, claim, seeds, folder, resume) -> list[Any]:
    """The papers, once every argument is known to make sense: before the first minute is spent."""
    from quire.common import claims

    if resume and folder is None:
        raise UsageError("--resume needs --out, the folder with the record to go on with")
    papers = [claims.load(slug) for slug in slugs]
    if claim and len(papers) > 1:
        raise UsageError("--claim goes with one paper; run the papers one by one")
    if seeds is not None and seeds < 1:
        raise UsageError(f"--seeds is {seeds}; it must be at least 1")
    for paper in papers:
        paper.preset(preset)
        for id in claim or ():
            paper.find_claim(id)
    if folder is not None:
        output_folder(folder)
    require_device()
    return papers


def _measured(paper, preset, claim, seeds, folder, resume, display, unwritten: list[str]) -> Any:
    """The record of a paper; one that the disk refused is shown all the same."""
    from quire.common.claims.run import run as run_paper

    try:
        return run_paper(paper, preset, claim, seeds=seeds, out=folder, resume=resume, progress=display)
    except NotWritten as error:
        unwritten.append(str(error))
        return error.results


def _print_records(records: list[Any], as_json: bool) -> None:
    from quire.common.claims.display import summary_line, terminal_table

    if as_json:
        written = [record.as_json() for record in records]
        print_json(written[0] if len(written) == 1 else written)
        return
    for record in records:
        out.print(terminal_table(record.as_json()))
        out.print(summary_line(record.entries()), "\n")


def _save_figures(record: Any, folder: Path) -> list[str]:
    """Write the figure of every claim; what could not be written."""
    problems = []
    for result in record.results:
        figure = next((m.figure for m in result.samples if m.figure is not None), None)
        if figure is not None:
            path = folder / f"{record.paper.slug}.{record.preset}.{result.claim.id}.png"
            problems += _save_figure(figure, path, dpi=90, bbox_inches="tight")
    return problems


def _save_figure(figure: Any, path: Path, **options: Any) -> list[str]:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", **options)
    return _save(path, picture.getvalue())


def _save(path: Path, content: bytes | str) -> list[str]:
    """Write a file; why that failed, if it did."""
    try:
        write_whole(path, content)
    except OSError as error:
        return [f"{path} could not be written: {reason_of(error)}"]
    return []


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
    if folder is not None:
        output_folder(folder)
    require_device()
    with progress() as display:
        reports = [run_benchmark(paper, sizes=size, repeats=repeats, progress=display) for paper in papers]
    written = [report.as_json() for report in reports]
    if as_json:
        print_json(written[0] if len(written) == 1 else written)
    else:
        for one in written:
            _print_bench(one)
    if folder is not None and (unwritten := [problem for report in reports for problem in _save_bench(report, folder)]):
        raise typer.Exit(fail("; ".join(unwritten), 2))


def _save_bench(report: Any, folder: Path) -> list[str]:
    stem = f"{report.paper.slug}.bench"
    problems = _save_figure(report.figure(), folder / f"{stem}.png", dpi=110)
    return problems + _save(folder / f"{stem}.json", json.dumps(report.as_json(), indent=1) + "\n")


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
