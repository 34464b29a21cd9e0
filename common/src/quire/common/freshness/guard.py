"""The guard: whatever a closure leaves out of `quire.common` raises when it is used, so that a hole in it cannot pass unseen.

Code arrives by import, so the guard stands there: in place of every definition that the closure does not reach, the imported
module holds an object that raises on use, and a module that the closure never loads cannot be imported at all. What is reached
runs as it stands, at no cost. Sources are read, never cached bytecode, and none is left behind.
"""

import ast
import sys
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path

from quire.common.errors import QuireError
from quire.common.freshness.closure import Closure
from quire.common.freshness.fingerprint import checkout_sources, paper_closure
from quire.common.freshness.modules import bound_names

_OUTSIDE = "__outside__"


class OutsideClosure(QuireError):
    """Something ran that the fingerprint does not cover."""


class Outside:
    """Stands in place of a definition that the closure does not reach."""

    def __init__(self, name: str):
        self._name = name

    def __call__(self, *args: object, **kwargs: object) -> object:
        raise _error(self._name)

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith("__"):  # what Python and notebooks ask of any object
            raise AttributeError(attribute)
        raise _error(self._name)

    __getitem__ = __iter__ = __len__ = __bool__ = __call__


def guard(closure: Closure, package: str = "quire.common") -> None:
    """Let nothing of a package be used, in this process, that `closure` does not reach.

    Args:
        closure: with nothing exempt, since tables and clocks run too.
        package: the package to watch; modules of it that are imported already are not looked at again.
    """
    sys.meta_path.insert(0, _Finder(closure, package))


def guard_notebook(root: str, slug: str) -> None:
    """Guard this process for the notebook of a paper in the checkout at `root`; to be called before anything is imported."""
    guard(paper_closure(checkout_sources(Path(root), slug), slug, exempt=()))


class _Finder(MetaPathFinder):
    def __init__(self, closure: Closure, package: str):
        self.closure, self.package = closure, package

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.package and not fullname.startswith(self.package + "."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return spec
        if fullname not in self.closure.loaded:
            raise _error(fullname)
        spec.loader = _Loader(fullname, spec.loader.path, self.closure)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, closure: Closure):
        super().__init__(fullname, path)
        self.closure = closure

    def get_code(self, fullname):
        module = self.closure.sources.known(fullname)
        kept = {id(statement) for statement in self.closure.statements(module)}
        fence = partial(_fenced, fullname, module.definitions)
        body = [statement if id(statement) in kept else fence(statement) for statement in module.tree.body]
        return compile(ast.Module(body, type_ignores=[]), self.path, "exec")

    def exec_module(self, module):
        setattr(module, _OUTSIDE, Outside)
        super().exec_module(module)


def _fenced(module: str, definitions: dict[str, list[ast.stmt]], statement: ast.stmt) -> ast.stmt:
    """A statement that the closure leaves out, as assignments of objects that raise; imports and `__all__` stay."""
    names = [name for name in bound_names(statement) if name != "__all__"]
    if not names and not any(statement in parts for parts in definitions.values()):
        return statement
    lines = [f"{name} = {_OUTSIDE}({f'{module}.{name}'!r})" for name in names] or ["pass"]
    fenced = ast.parse("if True:\n" + "".join(f"    {line}\n" for line in lines)).body[0]
    return ast.fix_missing_locations(ast.copy_location(fenced, statement))


def _error(name: str) -> OutsideClosure:
    return OutsideClosure(
        f"{name} is used, but its name appears nowhere in what the paper, its notebook and the modules they mention say; "
        "import it by name, so that a change to it makes the record stale"
    )
