"""What a diff affects: papers, notebooks, tests and doctests, by comparing closures before and after."""

import ast
import hashlib
import io
import subprocess
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from quire.common.errors import UsageError
from quire.common.freshness.checkout import papers
from quire.common.freshness.closure import closure
from quire.common.freshness.fingerprint import checkout_sources, parts
from quire.common.freshness.modules import Sources

_COMMON_GROUND = ("tests/conftest.py", "pyproject.toml", "common/pyproject.toml")
"""Files that every test rests on."""


@dataclass(frozen=True)
class Affected:
    """Papers by slug, those of which the package or the notebook itself differs as `own`; the rest are paths in the checkout."""

    papers: list[str]
    own: list[str]
    notebooks: list[str]
    tests: list[str]
    doctests: list[str]

    def as_json(self) -> dict[str, list[str]]:
        """The lists by name."""
        return asdict(self)


def affected(root: Path, since: str) -> Affected:
    """What differs between the checkout as it stands and where it parted from the commit `since`.

    A paper is affected when a part of its fingerprint differs. So is a test, which reaches code (annotations are checked as
    tests run), golden files, programs beside it and the papers that it names; a test that looks at the checkout itself
    (`parents[2]`) is affected by any difference.

    Raises:
        UsageError: if `since` is no commit, or `root` no git checkout.
    """
    base = _git(root, "merge-base", since, "HEAD").decode().strip()
    untracked = _git(root, "ls-files", "--others", "--exclude-standard").decode().splitlines()
    files = sorted({*_git(root, "diff", "--name-only", base).decode().splitlines(), *untracked})
    if not files:
        return Affected([], [], [], [], [])
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", base))) as archive:
            archive.extractall(folder, filter="data")
        before, after = _parts(Path(folder)), _parts(root)
    different = {name for name in after if before.get(name) != after[name]}
    tests = {name for name in after if name.startswith("tests/")}
    if not any(file in files for file in _COMMON_GROUND):
        tests = {name for name in tests if name in different or "parents[2]" in (root / name).read_text(encoding="utf-8")}
    slugs = [slug for slug in papers(root) if slug in different]
    return Affected(
        papers=slugs,
        own=[slug for slug in slugs if _own(slug, before.get(slug, {})) != _own(slug, after[slug])],
        notebooks=[f"notebooks/{slug}.ipynb" for slug in slugs if (root / f"notebooks/{slug}.ipynb").exists()],
        tests=sorted(tests),
        doctests=[file for file in files if file.endswith(".py") and "/src/" in file and (root / file).exists()],
    )


def _own(slug: str, of_paper: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in of_paper.items() if name == "notebook" or name.startswith(f"quire.{slug}")}


def _parts(root: Path) -> dict[str, dict[str, str]]:
    """Parts of every paper by slug, and of every test by its path."""
    sources = checkout_sources(root)
    of_papers = {slug: parts(sources, slug) for slug in papers(root)}
    tests = {path.relative_to(root).as_posix(): path for path in root.glob("tests/**/test_*.py")}
    sources.scripts |= {name: path.read_text(encoding="utf-8") for name, path in tests.items()}
    return of_papers | {name: _test_parts(sources, name, path, of_papers) for name, path in tests.items()}


def _test_parts(sources: Sources, name: str, path: Path, of_papers: dict[str, dict[str, str]]) -> dict[str, str]:
    """What a test reaches; strings in it that name a paper, a golden file or a program beside it count as mentions."""
    found = closure(sources, [name], exempt=()).parts()
    nodes = ast.walk(sources.known(name).tree)
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for slug in texts & of_papers.keys():
        found |= {f"{slug} {part}": value for part, value in of_papers[slug].items()}
    beside = [*path.parent.glob("*.py"), *(path.parents[1] / "golden").glob("*")]
    named = (file for file in beside if file != path and (file.stem in texts or file.name in texts))
    return found | {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in named}


def _git(root: Path, *arguments: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", b"").decode().strip() or str(error)
        raise UsageError(f"git {' '.join(arguments)} failed in {root}: {reason}") from None
