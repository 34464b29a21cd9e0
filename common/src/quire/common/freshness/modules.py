"""Modules as text: what each one binds at its top level, without importing it."""

import ast
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

Import = tuple[str, str | None]
"""What a name is bound to by an import: a module, and the name in it or None for the module itself."""


class Statement(NamedTuple):
    """Digest of a statement, the names outside of its annotations, and all strings in it."""

    digest: str
    names: frozenset[str]
    texts: frozenset[str]


@dataclass(frozen=True)
class Module:
    """The top level of one module.

    Attributes:
        name: dotted name, `quire.common.layers.attention`.
        is_package: whether it is an `__init__.py`, from which relative imports count otherwise.
        tree: its parsed source.
    """

    name: str
    is_package: bool
    tree: ast.Module
    _read: dict[tuple[int, bool], Statement] = field(default_factory=dict, repr=False)

    def read(self, statement: ast.stmt, *, typed: bool = False) -> Statement:
        """What a statement of the top level says, with its annotations or without; read once however many closures reach it."""
        key = id(statement), typed
        if key not in self._read:
            self._read[key] = _read(statement, typed)
        return self._read[key]

    @cached_property
    def imports(self) -> dict[str, Import]:
        """What the import statements of the top level bind."""
        return {bound: target for node in _top_imports(self.tree.body) for bound, target in self.bindings(node)}

    @cached_property
    def starred(self) -> list[str]:
        """Modules of which everything is imported."""
        return [
            self.absolute(node)
            for node in _top_imports(self.tree.body)
            if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
        ]

    @cached_property
    def loads(self) -> list[str]:
        """Modules that importing this one imports; names that may be submodules are included."""
        return [name for node in _top_imports(self.tree.body) for name in self.loaded_by(node)]

    @cached_property
    def definitions(self) -> dict[str, list[ast.stmt]]:
        """Statements that define each name: functions, classes, assignments, and what completes them (`f.defvjp(...)`)."""
        return self._sorted_out[0]

    @cached_property
    def effects(self) -> list[ast.stmt]:
        """Statements that an import executes for what they do rather than for a name: loops, calls on imported objects."""
        return self._sorted_out[1]

    @cached_property
    def annotating(self) -> set[str]:
        """Names that stand in annotations only."""
        return {*_names(ast.walk(self.tree))} - {*_names(_computing(self.tree))}

    @cached_property
    def _sorted_out(self) -> tuple[dict[str, list[ast.stmt]], list[ast.stmt]]:
        defined, effects = defaultdict(list), []
        for statement in self.tree.body:
            if _is_text(statement) or _only_imports(statement):
                continue
            names = bound_names(statement)
            for name in names:
                defined[name].append(statement)
            owners = [name for name in _owners(statement) if name in defined]
            for owner in owners:
                defined[owner].append(statement)
            if not names and not owners:
                effects.append(statement)
        return dict(defined), effects

    def absolute(self, node: ast.ImportFrom) -> str:
        """The module that a `from ... import` names, dots resolved."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*parts, *([node.module] if node.module else [])])

    def bindings(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Import]]:
        """Names that an import statement binds, each with what it is bound to."""
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                if alias.name != "*":
                    yield alias.asname or alias.name, (self.absolute(node), alias.name)
            elif alias.asname:
                yield alias.asname, (alias.name, None)
            else:
                yield alias.name.partition(".")[0], (alias.name.partition(".")[0], None)

    def loaded_by(self, node: ast.Import | ast.ImportFrom) -> list[str]:
        """Modules that an import statement imports, as far as they exist."""
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        source = self.absolute(node)
        return [source, *(f"{source}.{alias.name}" for alias in node.names)]


@dataclass
class Sources:
    """The modules of some packages, each read when it is asked for.

    Attributes:
        packages: folder of each package, by dotted name.
        scripts: source of files that stand in no package (a notebook's cells, a test), by any name without a dot.
        mentions: what each statement mentions, by its `id` and whether annotations count: many closures read it once.
    """

    packages: Mapping[str, Path]
    scripts: dict[str, str] = field(default_factory=dict)
    mentions: dict[tuple[int, bool], list[tuple[str, tuple[str, ...]]]] = field(default_factory=dict, repr=False)
    _read: dict[str, Module | None] = field(default_factory=dict, repr=False)

    def module(self, name: str) -> Module | None:
        """The module called `name`, or None if it is in none of the packages."""
        if name not in self._read:
            path = self.path(name)
            text = self.scripts.get(name) if path is None else path.read_text(encoding="utf-8")
            is_package = path is not None and path.name == "__init__.py"
            self._read[name] = None if text is None else Module(name, is_package, ast.parse(text))
        return self._read[name]

    def known(self, name: str) -> Module:
        """The module called `name`, which must be there."""
        module = self.module(name)
        if module is None:
            raise KeyError(f"{name} is no module of {sorted(self.packages)} and no script")
        return module

    def path(self, name: str) -> Path | None:
        """The file of a module."""
        for package, folder in self.packages.items():
            if name == package or name.startswith(package + "."):
                stem = folder.joinpath(*name[len(package) + 1 :].split(".")) if name != package else folder
                for path in (stem / "__init__.py", stem.with_suffix(".py")):
                    if path.is_file():
                        return path
        return None

    def members(self, package: str) -> list[str]:
        """Names of all modules of a package."""
        folder = self.packages[package]
        names = (path.relative_to(folder).with_suffix("").parts for path in sorted(folder.rglob("*.py")))
        return [".".join((package, *(part for part in parts if part != "__init__"))) for parts in names]

    def resources(self, package: str) -> dict[str, str]:
        """Digest of every file of a package that is no Python source, by its path."""
        folder = self.packages[package]
        files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in (".py", ".pyc"))
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        return {f"{package}/{name}": hashlib.sha256(content).hexdigest()[:16] for name, content in found.items() if content}


def bound_names(statement: ast.stmt) -> list[str]:
    """Names that a statement of the top level defines, functions inside it left out.

    >>> bound_names(ast.parse("a, (b, c.d) = f(x := 1)").body[0])
    ['a', 'b', 'x']
    """
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [statement.name]
    names: list[str] = []
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif not isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            waiting.extend(ast.iter_child_nodes(node))
    return list(dict.fromkeys(names))


def digest(content: ast.AST | Iterable[str], *, typed: bool = False) -> str:
    """Digest of a statement, or of several texts: comments, docstrings, layout and the version of Python make no difference.

    Args:
        content: what is digested.
        typed: whether annotations make a difference. They compute nothing; only a test may check them as it runs.

    >>> digest(ast.parse("def f(x: int):\\n    'Doc.'\\n    return x  # why")) == digest(ast.parse("def f(x): return x"))
    True
    """
    said = _canonical(content, typed) if isinstance(content, ast.AST) else list(content)
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def _read(statement: ast.stmt, typed: bool) -> Statement:
    names = frozenset(_names(_computing(statement)))
    nodes = ast.walk(statement)
    texts = frozenset(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return Statement(digest(statement, typed=typed), names, texts)


def _names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    return (node.id for node in nodes if isinstance(node, ast.Name))


def _canonical(node: object, typed: bool) -> object:
    if isinstance(node, list):
        return [_canonical(item, typed) for item in node if not _is_text(item)]
    if not isinstance(node, ast.AST):
        return repr(node)
    node = node if typed else bare(node)
    named = ((name, value) for name, value in ast.iter_fields(node) if value is not None and name != "type_comment")
    fields = [(name, _canonical(value, typed)) for name, value in named]
    return type(node).__name__, [(name, value) for name, value in fields if value != []]


def _computing(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all in it, annotations left out."""
    waiting = [node]
    while waiting:
        node = bare(waiting.pop())
        yield node
        waiting.extend(ast.iter_child_nodes(node))


_SPECIAL = {"ClassVar", "InitVar", "KW_ONLY"}
"""Annotations that decide what a field of a class is."""


def bare(node: ast.AST) -> ast.AST:
    """A node without annotations of its own. What the body of a class declares stays declared: it makes a dataclass's fields."""
    if isinstance(node, ast.arg):
        return ast.arg(node.arg)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        node = copy(node)
        node.returns = None
    elif isinstance(node, ast.ClassDef):
        node = copy(node)
        node.body = [_declaration(inner) if isinstance(inner, ast.AnnAssign) else inner for inner in node.body]
    elif isinstance(node, ast.AnnAssign) and not _is_declaration(node):
        return ast.Assign([node.target], node.value) if node.value else ast.Pass()
    return node


def _declaration(field: ast.AnnAssign) -> ast.AnnAssign:
    words = {name for node in ast.walk(field.annotation) for name in (getattr(node, "id", ""), getattr(node, "attr", ""))}
    special: list[ast.expr] = [ast.Name(word, ast.Load()) for word in sorted(words & _SPECIAL)]
    return ast.AnnAssign(field.target, ast.Tuple(special, ast.Load()), field.value, field.simple)


def _is_declaration(node: ast.AnnAssign) -> bool:
    """Whether `_declaration` made it: no annotation that somebody writes is a tuple."""
    return isinstance(node.annotation, ast.Tuple)


def _is_text(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _only_imports(statement: ast.stmt) -> bool:
    """Imports, plain or under a condition (`if TYPE_CHECKING:`)."""
    if isinstance(statement, ast.If):
        return all(_only_imports(inner) for inner in (*statement.body, *statement.orelse))
    return isinstance(statement, (ast.Import, ast.ImportFrom))


def _top_imports(body: Iterable[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements that an import of the module executes: those in functions and classes left out."""
    for statement in body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield statement
        elif not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for inner in ast.iter_child_nodes(statement):
                if isinstance(inner, ast.stmt):
                    yield from _top_imports([inner])
                elif isinstance(inner, ast.ExceptHandler):
                    yield from _top_imports(inner.body)


def _owners(statement: ast.stmt) -> list[str]:
    """Names that a statement completes: `f.defvjp(g, h)`, `@f.defjvp` on a function, `f.limit = 3`."""
    if isinstance(statement, ast.Expr):
        call = statement.value
        parts = [call.func] if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else []
    elif isinstance(statement, ast.Assign):
        parts = [target for target in statement.targets if isinstance(target, (ast.Attribute, ast.Subscript))]
    else:
        parts = [decorator for decorator in getattr(statement, "decorator_list", []) if not isinstance(decorator, ast.Name)]
    return [root.id for part in parts if isinstance(root := _root(part), ast.Name)]


def _root(node: ast.AST) -> ast.AST:
    while isinstance(node, (ast.Attribute, ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node
