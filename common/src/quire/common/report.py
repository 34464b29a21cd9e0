"""The report: a scoreboard, a page per paper with claim table and rendered notebook, and the tables of the READMEs."""

import json
import re
import tomllib
from collections.abc import Container, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter

from quire.common.claims.display import MARKS, html_table, markdown_table, summary_line
from quire.common.errors import UsageError
from quire.common.freshness.checkout import papers
from quire.common.freshness.fingerprint import checkout_sources, stale

STALE = "stale: measured with other sources"
"""What stands beside verdicts that the present sources may not give any more."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em; color: #1f2328; }
table { border-collapse: collapse; margin: 1em 0; font-size: 14px }
th, td { border-bottom: 1px solid #d0d7de; padding: .4em .7em; }
iframe { width: 100%; height: 80vh; border: 1px solid #d0d7de; } a { color: #0969da } small { color: #59636e }
"""
_CLAIMS = re.compile(r"(<!-- claims -->\n).*?(<!-- /claims -->)", re.DOTALL)
_SCOREBOARD = re.compile(r"(<!-- scoreboard -->\n).*?(<!-- /scoreboard -->)", re.DOTALL)
_TOTALS = re.compile(r"(<!-- totals -->\n).*?(<!-- /totals -->)", re.DOTALL)


def read_records(root: Path, records: Path | None = None, preset: str = "quick") -> dict[str, dict[str, Any]]:
    """Records by slug: from a folder of `quire run --out`, or the published ones of each paper.

    Raises:
        UsageError: if `records` is no folder, or a file in it is not a record.
    """
    if records is not None and not records.is_dir():
        raise UsageError(f"{records} is not a folder; run `quire run <slug> --out {records}` first")
    files = sorted(records.glob("*.json")) if records is not None else sorted(root.glob(f"papers/*/records/{preset}.json"))
    found = {}
    for file in files:
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            assert isinstance(record["claims"], list)
            found[record["paper"]] = record | {"file": str(file)}
        except (ValueError, KeyError, TypeError, AssertionError):
            if not file.name.endswith(".bench.json"):
                raise UsageError(f"{file} is not a record of quire; move it out of the way") from None
    return found


def write_report(root: Path, out: Path, records: Path | None = None) -> list[Path]:
    """Write the pages: `index.html`, and `<slug>.html` beside `<slug>.notebook.html` for every record.

    Returns:
        Paths of the pages, the index first.

    Raises:
        UsageError: if there are no records.
    """
    found = read_records(root, records)
    if not found:
        raise UsageError(f"no records in {records or root / 'papers/*/records'}; run `quire run <slug> --out DIR` first")
    out.mkdir(parents=True, exist_ok=True)
    pages = [out / "index.html"]
    for slug, record in found.items():
        notebook = root / "notebooks" / f"{slug}.ipynb"
        if notebook.exists():
            (out / f"{slug}.notebook.html").write_text(render_notebook(notebook), encoding="utf-8")
        page = out / f"{slug}.html"
        page.write_text(_paper_page(record, _figures(record, out), notebook.exists()), encoding="utf-8")
        pages.append(page)
    outdated = stale_papers(root, found) if records is None else set()
    index = f"<h1>quire</h1><p>Every claim of a paper, measured. {legend()}.</p>{scoreboard_html(found, '{}.html', outdated)}"
    pages[0].write_text(_page("quire", index), encoding="utf-8")
    return pages


def render_notebook(path: Path) -> str:
    """An executed notebook as one self-contained HTML page; nothing is executed."""
    exporter = HTMLExporter(template_name="lab")
    return exporter.from_notebook_node(nbformat.read(path, as_version=4))[0]


def update_readmes(root: Path, *, check: bool = False) -> list[Path]:
    """Rewrite the claim tables of the papers' READMEs, SCOREBOARD.md and the totals of the top README from the published records.

    Args:
        root: the checkout.
        check: change nothing, and take no offence at marks of staleness: those of a table are as old as the table.

    Returns:
        Files that changed, or would.
    """
    records = read_records(root)
    outdated = set() if check else stale_papers(root, records)
    wanted = {root / "SCOREBOARD.md": (_SCOREBOARD, scoreboard_markdown(records, outdated))}
    wanted |= {root / "README.md": (_TOTALS, totals_markdown(records, areas(root, records)))}
    wanted |= {root / "papers" / slug / "README.md": (_CLAIMS, markdown_table(record)) for slug, record in records.items()}
    changed = []
    for path, (pattern, table) in wanted.items():
        text = path.read_text(encoding="utf-8")
        new = pattern.sub(lambda m, table=table: f"{m[1]}{table}\n{m[2]}", text)
        if (_unmarked(new) != _unmarked(text)) if check else (new != text):
            changed.append(path)
            if not check:
                path.write_text(new, encoding="utf-8")
    return changed


def stale_papers(root: Path, slugs: Iterable[str]) -> set[str]:
    """Papers of a checkout whose published record was measured with other sources; none where there are no sources."""
    sources = checkout_sources(root)
    return {slug for slug in slugs if slug in papers(root) and stale(root, slug, sources)}


def scoreboard_markdown(records: Mapping[str, Mapping[str, Any]], outdated: Container[str] = ()) -> str:
    """One line a paper: title, what held and what did not; the verdicts of an outdated record are marked, never left out."""
    lines = ["| paper | title | claims | verdicts |", "|---|---|---|---|"]
    for slug, record in sorted(records.items()):
        marks = " ".join(f"{e['id']}{MARKS[e['verdict']]}" for e in record["claims"])
        link = f"[{slug}](papers/{slug}/README.md)"
        lines.append(f"| {link} | {record['title']} | {marks} | {_counts(record)}{_mark(slug, outdated)} |")
    return "\n".join(lines)


def areas(root: Path, slugs: Iterable[str]) -> dict[str, list[str]]:
    """Papers by their area, the first keyword of the package; both in the order of the alphabet."""
    found: dict[str, list[str]] = {}
    for slug in sorted(slugs):
        project = tomllib.loads((root / "papers" / slug / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        found.setdefault(next(iter(project.get("keywords", ())), "others"), []).append(slug)
    return dict(sorted(found.items()))


def totals_markdown(records: Mapping[str, Mapping[str, Any]], by_area: Mapping[str, Iterable[str]]) -> str:
    """How many papers and claims there are and how they ended, and the papers of every area in one line."""
    entries = [entry for record in records.values() for entry in record["claims"]]
    lines = [f"{len(records)} papers, {summary_line(entries)}. [SCOREBOARD.md](SCOREBOARD.md) names every one.", ""]
    for area, slugs in by_area.items():
        lines.append(f"- **{area}** " + " · ".join(f"[{slug}](papers/{slug}/README.md)" for slug in slugs))
    return "\n".join(lines)


def legend() -> str:
    """Every mark and the verdict that it stands for."""
    return ", ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items())


def scoreboard_html(records: Mapping[str, Mapping[str, Any]], link: str, outdated: Container[str] = ()) -> str:
    """One row a paper: its claims with their marks, how many ended how, how long that took.

    Args:
        records: by slug.
        link: address of a paper's page, `{}` for its slug.
        outdated: papers whose verdicts are marked as stale.
    """
    rows = []
    for slug, record in sorted(records.items()):
        marks = " ".join(
            f"<span title='{escape(e['says'], quote=True)}'>{e['id']}&nbsp;{MARKS[e['verdict']]}</span>" for e in record["claims"]
        )
        cells = (
            f"<a href='{link.format(slug)}'>{escape(record['title'])}</a>",
            marks,
            escape(_counts(record) + _mark(slug, outdated)),
            f"{record['wall_seconds']:.0f} s on {escape(record['hardware']['device'])}",
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "<tr><th>paper</th><th>claims</th><th>verdicts</th><th>measured in</th></tr>"
    return f"<table class='scoreboard'><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def verdicts_html(record: Mapping[str, Any], figures: Mapping[str, str] | None = None) -> str:
    """Whether a paper holds up: how its claims ended, what they were measured with, the table of claims.

    Args:
        record: of the paper.
        figures: sources of pictures by the id of a claim.
    """
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    device, digest = record["hardware"]["device"], record.get("fingerprint", "unknown")
    facts = f"preset {record['preset']}, {record['date']}, {device}, {versions}, sources {digest}"
    table = html_table(record, figures)
    return f"<p>{summary_line(record['claims'])}.</p><p><small>{escape(facts)}</small></p><div class='claims'>{table}</div>"


def _mark(slug: str, outdated: Container[str]) -> str:
    return f" ({STALE})" if slug in outdated else ""


def _unmarked(text: str) -> str:
    return text.replace(f" ({STALE})", "")


def _counts(record: Mapping[str, Any]) -> str:
    return summary_line(record["claims"]).split(": ", 1)[1]


def _paper_page(record: Mapping[str, Any], figures: Mapping[str, str], has_notebook: bool) -> str:
    slug = record["paper"]
    notebook = (
        f"<h2>Notebook</h2><p><a href='{slug}.notebook.html'>open alone</a></p><iframe src='{slug}.notebook.html'></iframe>"
    )
    body = f"<p><a href='index.html'>all papers</a></p><h1>{escape(record['title'])}</h1>{verdicts_html(record, figures)}"
    return _page(record["title"], body + (notebook if has_notebook else ""))


def _figures(record: Mapping[str, Any], out: Path) -> dict[str, str]:
    """Figures that `quire run --out` left beside the record, copied next to the pages."""
    sources = {}
    for entry in record["claims"]:
        name = f"{record['paper']}.{record['preset']}.{entry['id']}.png"
        picture = Path(record["file"]).with_name(name)
        if picture.exists():
            (out / name).write_bytes(picture.read_bytes())
            sources[entry["id"]] = name
    return sources


def _page(title: str, body: str) -> str:
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{escape(title)}</title>"
    return f"<!doctype html><html lang='en'><head>{head}<style>{_STYLE}</style></head><body>{body}</body></html>\n"
