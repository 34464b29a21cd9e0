"""Writes the source of the site from what CI executed: records, READMEs and notebooks of the papers, modules of `common`.

    python docs/pages.py .build/site-source

Front page: a gallery, one card a paper, with the picture of its notebook, areas and verdicts. A page a paper: what it is, what
held up, how to install and use it, its notebook, its interface. A page a room of `common`.
"""

import base64
import io
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

from PIL import Image

from quire.common.claims.display import MARKS, summary_line
from quire.common.claims.paper import Paper, load
from quire.common.report import legend, read_records, scoreboard_html, verdicts_html

ROOT = Path(__file__).parent.parent
THUMBNAIL = (480, 300)
"""Largest width and height of the picture of a card, in pixels."""


@dataclass(frozen=True)
class Entry:
    """A paper of the gallery: its record, README and notebook."""

    slug: str
    record: dict

    @cached_property
    def paper(self) -> Paper:
        """Citation and claims, from the package."""
        return load(self.slug)

    @cached_property
    def readme(self) -> str:
        """Markdown of the README."""
        return (ROOT / "papers" / self.slug / "README.md").read_text(encoding="utf-8")

    @cached_property
    def project(self) -> dict:
        """Metadata of the package."""
        return tomllib.loads((ROOT / "papers" / self.slug / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    @cached_property
    def notebook(self) -> Path:
        """The executed notebook."""
        return ROOT / "notebooks" / f"{self.slug}.ipynb"

    @cached_property
    def name(self) -> str:
        """Heading of the README, short enough for a card."""
        return self.readme.splitlines()[0].removeprefix("# ")

    def citation(self) -> str:
        """Authors, venue and year."""
        year = "" if str(self.paper.year) in self.paper.venue else f" {self.paper.year}"
        return f"{self.paper.authors}, {self.paper.venue}{year}"

    def pictures(self) -> Iterator[Image.Image]:
        """Figures of the notebook, in its order."""
        for cell in json.loads(self.notebook.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                if "image/png" in output.get("data", {}):
                    yield Image.open(io.BytesIO(base64.b64decode("".join(output["data"]["image/png"]))))

    def verdicts(self) -> dict[str, int]:
        """How many claims ended how."""
        return {verdict: sum(entry["verdict"] == verdict for entry in self.record["claims"]) for verdict in MARKS}


def card(entry: Entry) -> str:
    """The paper in the gallery, with what the filters read."""
    counts = {verdict: count for verdict, count in entry.verdicts().items() if count}
    bar = "".join(
        f'<span class="v-{verdict.replace(" ", "-")}" style="flex:{count}"></span>' for verdict, count in counts.items()
    )
    words = " ".join(
        [entry.slug, entry.name, entry.paper.title, entry.paper.authors, entry.paper.area, *entry.project["keywords"]]
    )
    tags = "".join(f"<li>{escape(tag)}</li>" for tag in entry.project["keywords"])
    return (
        f'<a class="card-paper" href="papers/{entry.slug}.html" data-words="{escape(words.lower(), quote=True)}" '
        f'data-areas="{escape("|".join(entry.project["keywords"]), quote=True)}" data-verdicts="{"|".join(counts)}">'
        f'<img src="_static/cards/{entry.slug}.png" alt="" loading="lazy"><div class="card-text"><h3>{escape(entry.name)}</h3>'
        f'<p class="cite">{escape(entry.citation())}</p><ul>{tags}</ul>'
        f'<div class="bar" aria-hidden="true">{bar}</div><p class="counts">{escape(summary_line(entry.record["claims"]))}</p>'
        "</div></a>"
    )


def front_page(entries: list[Entry]) -> str:
    """Gallery with its filters."""
    areas = sorted({area for entry in entries for area in entry.project["keywords"]})
    options = "".join(f'<option value="{area}">{area}</option>' for area in areas)
    verdicts = "".join(f'<option value="{verdict}">{mark} {verdict}</option>' for verdict, mark in MARKS.items())
    claims = [claim for entry in entries for claim in entry.record["claims"]]
    return f"""---
html_theme.sidebar_secondary.remove: true
---
# Machine-learning papers, each claim a measured number

Every paper here is a notebook to read, a package to install, and a list of claims that one command measures again:
{len(entries)} papers, {summary_line(claims)}. A claim that does not hold at this scale says so.

<div class="filters" role="search">
<label>Search <input id="words" type="search" placeholder="title, author, method" autocomplete="off"></label>
<label>Area <select id="area"><option value="">all</option>{options}</select></label>
<label>With a claim <select id="verdict"><option value="">of any verdict</option>{verdicts}</select></label>
<output id="shown">{len(entries)} papers</output>
</div>
<div class="gallery">{"".join(card(entry) for entry in entries)}</div>

```{{toctree}}
:hidden:

papers/index
common/index
claims
```
"""


def paper_page(entry: Entry) -> str:
    """What a paper is, whether it holds up, how to use it."""
    paper, record = entry.paper, entry.record
    body = entry.readme.split("\n", 1)[1]
    what, rest = body.split("```python", 1)
    example, rest = rest.split("```", 1)
    after = re.sub(r"<!-- claims -->.*?<!-- /claims -->", "", rest, flags=re.DOTALL).strip()
    links = [f"[arXiv {paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})"] if paper.arxiv else []
    links += [f"[authors' code]({paper.code})"] if paper.code else []
    return f"""# {entry.name}

*{paper.title}*. {entry.citation()}. {" · ".join(links)}

{_own(what.strip())}

[Read the notebook](../notebooks/{entry.slug}.ipynb)

```{{toctree}}
:hidden:

Notebook <../notebooks/{entry.slug}>
```

## Does it hold up?

{verdicts_html(record).replace("<br>", '<br><span class="comma">, </span>')}

## Install and use

```sh
pip install quire-{entry.slug.replace("_", "-")}
quire run {entry.slug}
```

```python
{example.strip()}
```

{_own(after)}

## Interface

```{{eval-rst}}
.. automodule:: quire.{entry.slug}
   :no-members:

{_members(entry.slug)}
```
"""


def _members(slug: str) -> str:
    """Directives for the public names of a paper, without modules and objects that have no docstring of their own."""
    import importlib
    import inspect

    module = importlib.import_module(f"quire.{slug}")
    lines = []
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value):
            lines.append(f".. autoclass:: quire.{slug}.{name}\n   :members:\n")
        elif callable(value):
            lines.append(f".. autofunction:: quire.{slug}.{name}\n")
    return "\n".join(lines)


def _own(markdown: str) -> str:
    """Text of a README whose links into the source tree are plain words: the site has no such files."""
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]+\)", r"\1", markdown)


def rooms() -> dict[str, list[str]]:
    """Modules of `common` by room, without those that only its commands use."""
    found: dict[str, list[str]] = {}
    base = ROOT / "common/src"
    for path in sorted((base / "quire/common").rglob("*.py")):
        module = ".".join(path.relative_to(base).with_suffix("").parts)
        parts = module.split(".")[2:]
        if path.name.startswith("__") or parts[0] in {"cli", "freshness", "__init__"} or "template" in parts:
            continue
        found.setdefault(parts[0] if len(parts) > 1 else "everywhere", []).append(module)
    return found


def room_page(room: str, modules: list[str]) -> str:
    """Interface of a room of `common`."""
    text = f"# {room}\n\n"
    for module in modules:
        text += f"## {module.removeprefix('quire.common.')}\n\n```{{eval-rst}}\n.. automodule:: {module}\n```\n\n"
    return text


def claims_page(entries: list[Entry]) -> str:
    """Every claim of every paper, and what became of it."""
    table = scoreboard_html({entry.slug: entry.record for entry in entries}, "papers/{}.html")
    lines = ["# All claims", "", f"{legend()}.", "", table, ""]
    for entry in entries:
        lines += [f"## [{entry.name}](papers/{entry.slug}.md)", ""]
        lines += [
            f"- {MARKS[c['verdict']]} **{c['id']}** {escape(c['says'])}" + (f": {escape(c['because'])}" if c["because"] else "")
            for c in entry.record["claims"]
        ]
        lines += [""]
    return "\n".join(lines)


def write(path: Path, text: str) -> None:
    """Write a page, and leave it alone if it says this already: Sphinx reads changed pages only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def main(out: Path) -> None:
    """Write all pages, cards and notebooks into `out`."""
    entries = [Entry(slug, record) for slug, record in sorted(read_records(ROOT).items())]
    shutil.copytree(ROOT / "docs/_static", out / "_static", dirs_exist_ok=True)
    shutil.copy(ROOT / "docs/conf.py", out / "conf.py")
    (out / "_static/cards").mkdir(exist_ok=True)
    for entry in entries:
        picture = max(list(entry.pictures())[:3], key=lambda image: image.width * image.height).convert("RGB")
        picture.thumbnail(THUMBNAIL)
        picture.save(out / f"_static/cards/{entry.slug}.png")
        write(out / f"papers/{entry.slug}.md", paper_page(entry))
        (out / "notebooks").mkdir(exist_ok=True)
        write(out / f"notebooks/{entry.slug}.ipynb", entry.notebook.read_text(encoding="utf-8"))
    listed = "\n".join(entry.slug for entry in entries)
    write(out / "papers/index.md", f"# Papers\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n")
    for room, modules in rooms().items():
        write(out / f"common/{room}.md", room_page(room, modules))
    listed = "\n".join(rooms())
    write(out / "common/index.md", f"# quire.common\n\nWhat the papers share.\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n")
    write(out / "claims.md", claims_page(entries))
    write(out / "index.md", front_page(entries))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
