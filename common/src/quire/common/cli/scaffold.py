"""`quire new`: a paper's files, with a small real method in place of the paper's."""

import io
import keyword
import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

import nbformat
import numpy as np

from quire.common.errors import UsageError

_TARGETS = {
    "pyproject.toml.txt": "papers/{slug}/pyproject.toml",
    "README.md.txt": "papers/{slug}/README.md",
    "test.py.txt": "tests/papers/test_{slug}.py",
}
_MODULES = ("__init__", "config", "paper", "running_mean", "brute_force", "benchmark", "figures", "claims")
_TARGETS |= {f"{module}.py.txt": f"papers/{{slug}}/src/quire/{{slug}}/{module}.py" for module in _MODULES}


def scaffold(root: Path, slug: str, title: str = "") -> list[Path]:
    """Write package, tests, golden vectors and notebook of a new paper.

    The method is a running mean, small and real: every file shows where the paper's own will go, and all tests pass.

    Args:
        root: the checkout.
        slug: name of the paper, a lower-case Python identifier.
        title: title of the paper.

    Returns:
        Paths written.

    Raises:
        UsageError: if the slug is not a usable name or a file of the paper exists already.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", slug) or keyword.iskeyword(slug) or slug == "common":
        raise UsageError(f"{slug!r} cannot name a paper; use lower-case letters a-z, digits and _, such as tensor_attention")
    title = title or slug.replace("_", " ").capitalize()
    if any(c in title for c in '"\\\n'):
        raise UsageError(f"title is {title!r}; leave out quotes, backslashes and line breaks")
    words = {"slug": slug, "hyphened": slug.replace("_", "-"), "title": title, "version": version("quire-common")}

    def rendered(source: str) -> str:
        text = (files("quire.common.cli") / "template" / source).read_text(encoding="utf-8")
        return _sorted_imports(Template(text).substitute(words))

    contents = {target.format(slug=slug): rendered(source).encode() for source, target in _TARGETS.items()}
    contents[f"papers/{slug}/src/quire/{slug}/py.typed"] = b""
    contents[f"tests/golden/{slug}.npz"] = _golden()
    contents[f"notebooks/{slug}.ipynb"] = nbformat.writes(_notebook(rendered("notebook.py.txt"))).encode()
    if taken := [path for path in contents if (root / path).exists()]:
        raise UsageError(f"{taken[0]} exists already; choose another name or remove it")
    for path, content in contents.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return [root / path for path in contents]


def _sorted_imports(source: str) -> str:
    """Neighbouring imports from quire in alphabetical order, which depends on the slug."""
    return re.sub(
        r"(?:^from quire\..*\n)+", lambda m: "".join(sorted(m[0].splitlines(keepends=True))), source, flags=re.MULTILINE
    )


def _golden() -> bytes:
    """Golden vectors by the definition, written out."""
    x = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    y = np.array([[row[: i + 1].astype(np.float64).sum() / (i + 1) for i in range(row.size)] for row in x])
    buffer = io.BytesIO()
    np.savez(buffer, **{"running_mean/x": x, "running_mean/y": y})
    return buffer.getvalue()


def _notebook(text: str) -> nbformat.NotebookNode:
    """A notebook from text in cells that begin with `# %%` (code) or `# %% [markdown]`."""
    cells = []
    for number, chunk in enumerate(text.split("# %%")[1:]):
        head, _, body = chunk.partition("\n")
        make = nbformat.v4.new_markdown_cell if "[markdown]" in head else nbformat.v4.new_code_cell
        cells.append(make(body.strip(), id=f"cell-{number}"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
