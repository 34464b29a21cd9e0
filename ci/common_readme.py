"""Writes common/README.md: every room of quire.common and its modules, each with the first line of its docstring."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "common/README.md"
SOURCES = ROOT / "common/src/quire/common"
BEGIN, END = "<!-- rooms -->\n", "<!-- /rooms -->\n"


def first_line(module: Path) -> str:
    """First line of the docstring, or nothing."""
    return (ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or "").split("\n", 1)[0]


def modules(folder: Path) -> list[str]:
    """An entry for each module in a folder."""
    files = sorted(path for path in folder.glob("*.py") if not path.stem.startswith("__"))
    return [f"- `{path.stem}`: {first_line(path)}" for path in files]


def rooms() -> str:
    """The list of modules, those beside the rooms first."""
    parts = ["\n".join(modules(SOURCES))]
    for package in sorted(path for path in SOURCES.iterdir() if (path / "__init__.py").exists()):
        about = first_line(package / "__init__.py")
        parts.append("\n".join([f"**`quire.common.{package.name}`** {about}\n", *modules(package)]))
    return "\n\n".join(parts) + "\n"


def current(text: str) -> str:
    """The README with the list as the sources have it now."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + rooms() + END + rest.split(END)[1]


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    if (new := current(text)) != text:
        README.write_text(new, encoding="utf-8")
        print(f"wrote {README}", file=sys.stderr)
