"""Claim tables: in the terminal (rich), in a notebook or a report (HTML), in a README (Markdown)."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from rich.markup import escape as escape_markup
from rich.table import Table

from quire.common.claims.criteria import confidence_interval
from quire.common.claims.run import Record

MARKS = {"reproduced": "✓", "partly": "◐", "not reproduced": "✗", "not tested": "–"}
COLOURS = {"reproduced": "green", "partly": "yellow", "not reproduced": "red", "not tested": "bright_black"}
RECORD_TYPE = "application/vnd.quire.record+json"
_HTML_COLOURS = {"reproduced": "#1a7f37", "partly": "#9a6700", "not reproduced": "#cf222e", "not tested": "#6e7781"}


def number(value: float | None) -> str:
    """A number with four significant digits; an en dash for none."""
    if value is None:
        return "–"
    return f"{value:.4g}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.1e}"


def value_cell(entry: Mapping[str, Any]) -> str:
    """Mean value over seeds with half its confidence interval; the largest of an exact claim."""
    values = [v for v in entry["values"] if v is not None]
    if not values or len(values) < len(entry["values"]):
        return "–"
    mean, (low, high) = confidence_interval(values)
    if entry["exact"]:
        return number(max(values))
    return f"{number(mean)} ± {(high - low) / 2:.2g}" if high > low else number(mean)


def baseline_cells(entry: Mapping[str, Any]) -> list[str]:
    """Every baseline's mean, the trivial one marked."""
    if entry["exact"] and not entry["baselines"]:
        return ["exact"]
    cells = []
    for name, values in entry["baselines"].items():
        mean = confidence_interval([float("nan") if v is None else v for v in values])[0]
        cells.append(f"{name} {number(mean)}{' (trivial)' if name == entry['trivial'] else ''}")
    return cells


def metric_cell(entry: Mapping[str, Any]) -> str:
    """What is measured, over how many seeds, and whether it goes by the clock."""
    count = len(entry["values"])
    return f"{entry['metric']}, {count} seed{'s' * (count != 1)}" + (", by the clock" if entry.get("timed") else "")


def data_cell(entry: Mapping[str, Any]) -> str:
    """The data used, and what it stands in for."""
    return f"{entry['data']} (stands in for {entry['stand_in_for']})" if entry["stand_in_for"] else entry["data"]


def verdict_cell(entry: Mapping[str, Any]) -> str:
    """Mark and verdict; an unexpected one says what was expected."""
    surprise = "" if entry["as_expected"] or entry["verdict"] == "not tested" else f" (expected {entry['expected']})"
    return f"{MARKS[entry['verdict']]} {entry['verdict']}{surprise}"


def terminal_table(record: Mapping[str, Any]) -> Table:
    """Claim table for the terminal."""
    table = Table(title=f"{record['title']} · {record['preset']}", title_justify="left", show_lines=True, expand=True)
    table.add_column("claim", no_wrap=True)
    table.add_column("the paper says", ratio=5)
    table.add_column("measured", ratio=3)
    table.add_column("verdict", no_wrap=True)
    for entry in record["claims"]:
        style = COLOURS[entry["verdict"]]
        how = (
            metric_cell(entry),
            f"holds when {entry['criterion']}",
            data_cell(entry),
            entry["because"] or entry["why"],
        )
        measured = [f"[bold]{value_cell(entry)} {entry['unit']}[/bold]", *baseline_cells(entry)]
        table.add_row(
            entry["id"],
            f"[bold]{entry['says']}[/bold]\n[dim]" + "\n".join(escape_markup(line) for line in how if line) + "[/dim]",
            "\n".join(measured),
            f"[{style}]{verdict_cell(entry).replace(' (', chr(10) + '(')}[/{style}]",
        )
    return table


def html_table(record: Mapping[str, Any], figures: Mapping[str, str] | None = None) -> str:
    """Claim table as HTML; `figures` maps claim ids to `<img>` sources."""
    head = "".join(
        f"<th style='text-align:left'>{h}</th>"
        for h in ("claim", "the paper says", "measured", "beside", "holds when", "verdict", "data")
    )
    rows = []
    for entry in record["claims"]:
        notes = entry["because"] or entry["why"]
        picture = (
            f"<br><img alt='figure of {entry['id']}' style='max-width:26em' src='{figures[entry['id']]}'>"
            if figures and entry["id"] in figures
            else ""
        )
        cells = (
            f"<b>{escape(entry['id'])}</b>",
            f"{escape(entry['says'])} <small>({escape(entry['source'])})</small>"
            + (f"<br><small>{escape(notes)}</small>" if notes else "")
            + picture,
            f"{escape(value_cell(entry))} {escape(entry['unit'])}<br><small>{escape(metric_cell(entry))}</small>",
            "<br>".join(escape(cell) for cell in baseline_cells(entry)),
            escape(entry["criterion"]),
            f"<span style='color:{_HTML_COLOURS[entry['verdict']]};white-space:nowrap'>{escape(verdict_cell(entry))}</span>",
            escape(data_cell(entry)),
        )
        rows.append(
            "<tr style='vertical-align:top'>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells) + "</tr>"
        )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def markdown_table(record: Mapping[str, Any]) -> str:
    """Claim table for a README."""
    lines = ["| claim | the paper says | measured | beside | verdict |", "|---|---|---|---|---|"]
    for entry in record["claims"]:
        measured = f"{value_cell(entry)} {entry['unit']}".strip()
        cells = (
            entry["id"],
            entry["says"],
            f"{measured} ({metric_cell(entry)})",
            ", ".join(baseline_cells(entry)),
            verdict_cell(entry),
        )
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def figure_source(figure) -> str:
    """A matplotlib figure as a `data:` source for `<img>`."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90, bbox_inches="tight")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@dataclass(frozen=True, repr=False)
class Scorecard:
    """The closing cell of a notebook: shows the claim table; `check()` fails if a verdict is not the expected one.

    What is shown carries the record itself beside the table, so one execution of a notebook yields both.
    """

    record: Record

    def __repr__(self) -> str:
        return summary_line(self.record.entries())

    def _repr_html_(self) -> str:
        return summary_line(self.record.entries()) + html_table(self.record.as_json())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self._repr_html_(), RECORD_TYPE: self.record.as_json()}

    def check(self) -> None:
        """Every tested claim ended as expected. What this run cannot decide is printed: see `surprises`.

        Raises:
            AssertionError: naming the claims that did not.
        """
        wrong, undecided = surprises(self.record.entries())
        assert not wrong, f"{self.record.paper.slug}: {'; '.join(wrong)}"
        if undecided:
            print(f"not decided by this run: {'; '.join(undecided)}")
        if self.record.untested:
            print(f"not tested: {', '.join(self.record.untested)} (see the table for why)")


def held_up(record: Record) -> str:
    """The first screen of a notebook in Markdown: what became of every claim, a line each."""
    lines = [f"- {MARKS[r.verdict]} {r.claim.id} *{r.verdict}*: {r.claim.says}" for r in record.results]
    return "\n".join(["**What held up**", "", *lines])


def surprises(entries: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Tested claims that ended otherwise than expected, in words: those that count, and those that one run does not decide.

    Of the second kind are claims by the clock, for which the machine may have been too busy, and those that rest on signs of
    means alone, with a 95 % interval over the seeds that holds zero: there another processor's rounding is enough for the other
    verdict.
    """
    wrong = [entry for entry in entries if entry["verdict"] != "not tested" and not entry["as_expected"]]
    words = [(f"{e['id']} {e['verdict']}, expected {e['expected']}", _why_undecided(e)) for e in wrong]
    return [text for text, why in words if not why], [f"{text} ({why})" for text, why in words if why]


def _why_undecided(entry: Mapping[str, Any]) -> str:
    if entry.get("timed"):
        return "by the clock"
    interval = entry.get("margin_interval") or ()
    close = len(interval) == 2 and None not in interval and interval[0] < 0 < interval[1]
    of_means = all(part.endswith(" on average") for part in entry.get("criterion", "").split("; "))
    return "its interval over seeds holds zero" if close and of_means else ""


def summary_line(entries: Sequence[Mapping[str, Any]]) -> str:
    """`7 claims: 5 reproduced, 2 not reproduced`."""
    counts = {verdict: sum(e["verdict"] == verdict for e in entries) for verdict in MARKS}
    return f"{len(entries)} claim{'s' * (len(entries) != 1)}: " + ", ".join(
        f"{n} {verdict}" for verdict, n in counts.items() if n
    )
