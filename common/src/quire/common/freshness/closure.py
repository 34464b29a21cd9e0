"""The closure of a paper: what its package, its notebook or a test can reach in the modules of `quire`, name by name.

A name that a reached statement mentions is followed to the module that defines it, through aliases, relative imports and
re-exports. Classes count whole, modules only by the definitions that are reached, so a function that nobody here calls may
change freely. What the text does not show (a name put together from strings) is not found: `guard` makes that an error.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from quire.common.freshness.modules import Module, Sources, bare, digest

EXEMPT = (
    "quire.common.claims.display",
    "quire.common.cli",
    "quire.common.freshness",
    "quire.common.output",
    "quire.common.report",
)
"""Modules that show or write numbers. They are not followed: the papers say what is computed."""

_DOTTED = re.compile(r"(quire(?:\.\w+)+)(?::(\w+))?")


@dataclass(frozen=True)
class Closure:
    """What is reached.

    Attributes:
        sources: where it was read.
        names: names that are reached, by module.
        loaded: modules that are imported on the way, whether or not a name of them is reached.
        typed: whether annotations count.
    """

    sources: Sources
    names: dict[str, set[str]]
    loaded: set[str]
    typed: bool = True

    def parts(self) -> dict[str, str]:
        """A digest for every module of which something is reached; see `quire.common.freshness.modules.digest`."""
        found = {}
        for name in sorted(self.loaded | set(self.names)):
            module = self.sources.known(name)
            statements = self.statements(module)
            libraries = self._libraries(module, statements)
            if statements or libraries:
                read = [module.read(statement, typed=self.typed).digest for statement in statements]
                found[name] = digest([*read, *libraries])
        return found

    def _libraries(self, module: Module, statements: list[ast.stmt]) -> list[str]:
        """Reached names that come from other libraries, and from which: `np` is NumPy's or JAX's."""
        used = self.names.get(module.name, set()).union(*(module.read(statement).names for statement in statements))
        used = used if self.typed else used - module.annotating
        foreign = {name: target for name, target in module.imports.items() if self.sources.module(target[0]) is None}
        return [f"{name} is {target}" for name, target in sorted(foreign.items()) if name in used]

    def statements(self, module: Module) -> list[ast.stmt]:
        """Statements of a module that are reached, in the order of the source."""
        reached = [s for name in self.names.get(module.name, ()) for s in module.definitions.get(name, ())]
        unique = {id(statement): statement for statement in (*reached, *module.effects)}
        return sorted(unique.values(), key=lambda statement: (statement.lineno, statement.col_offset))

    def texts(self) -> set[str]:
        """All strings in reached statements: the data sets that are named are among them."""
        modules = [self.sources.known(name) for name in self.loaded | set(self.names)]
        return set().union(*(module.read(statement).texts for module in modules for statement in self.statements(module)))


def closure(sources: Sources, entries: Iterable[str], exempt: tuple[str, ...] = EXEMPT, *, typed: bool = True) -> Closure:
    """Follow everything that the modules `entries` mention.

    Args:
        sources: the packages and scripts to look in.
        entries: modules that count whole.
        exempt: modules, and packages with all that is in them, that are not followed.
        typed: whether annotations are followed and count. They are executed and compute nothing: what they name must be there,
            and may change.

    Raises:
        ValueError: if an entry is not in `sources`.
    """
    search = _Search(sources, exempt, typed)
    for name in entries:
        if sources.module(name) is None:
            raise ValueError(f"{name!r} is no module of {sorted(sources.packages)} and no script")
        search.reach_all(name)
    search.run()
    return Closure(sources, dict(search.names), search.loaded, typed)


class _Search:
    """Work list over statements: each is read once for the names that it mentions."""

    def __init__(self, sources: Sources, exempt: tuple[str, ...], typed: bool):
        self.sources, self.exempt, self.typed = sources, exempt, typed
        self.names: dict[str, set[str]] = defaultdict(set)
        self.loaded: set[str] = set()
        self.seen: set[tuple[str, str, tuple[str, ...]]] = set()
        self.waiting: list[tuple[Module, ast.stmt]] = []

    def run(self) -> None:
        while self.waiting:
            module, statement = self.waiting.pop()
            mentions = self.sources.mentions
            key = id(statement), self.typed
            if key not in mentions:
                mentions[key] = list(dict.fromkeys(references(module, statement, self.sources, self.typed)))
            for name, chain in mentions[key]:
                self.follow(name, chain)

    def load(self, name: str) -> None:
        """Importing a module imports its packages and what its top level imports, and executes its effects."""
        waiting = [name]
        while waiting:
            name = waiting.pop()
            module = None if name in self.loaded or self._is_exempt(name) else self.sources.module(name)
            if module is None:
                continue
            self.loaded.add(name)
            self.waiting.extend((module, effect) for effect in module.effects)
            waiting.extend([*module.loads, name.rpartition(".")[0]])

    def follow(self, name: str, chain: tuple[str, ...]) -> None:
        """Reach what `name.chain` stands for: a whole module, or a name of it."""
        name, chain = self._resolve(name, chain)
        if self.sources.module(name) is None or self._is_exempt(name):
            return
        self.load(name)
        if chain:
            self.reach(name, chain[0], chain[1:])
        else:
            self.reach_all(name)

    def reach_all(self, name: str) -> None:
        """Reach every name of a module; of the modules among them, only what is mentioned."""
        self.load(name)
        module = self.sources.known(name)
        for bound, (origin, attribute) in module.imports.items():
            if not self.typed and bound in module.annotating:
                continue
            if attribute and self._resolve(origin, (attribute,))[1]:
                self.reach(name, bound, ())
            else:
                self.names[name].add(bound)
        for defined in module.definitions:
            self.reach(name, defined, ())

    def reach(self, name: str, attribute: str, rest: tuple[str, ...]) -> None:
        """Reach a name of a module: where it is defined, and through every module that passes it on."""
        if (name, attribute, rest) in self.seen:
            return
        self.seen.add((name, attribute, rest))
        module = self.sources.known(name)
        if attribute in module.definitions and attribute not in self.names[name]:
            self.waiting.extend((module, statement) for statement in module.definitions[attribute])
        if attribute in module.definitions or attribute in module.imports:
            self.names[name].add(attribute)
        elif "__getattr__" in module.definitions:  # made on demand, from what that function mentions
            self.reach(name, "__getattr__", ())
        if attribute in module.imports:
            origin, inner = module.imports[attribute]
            self.follow(origin, ((inner,) if inner else ()) + rest)
        elif attribute not in module.definitions:
            for origin in module.starred:
                self.follow(origin, (attribute, *rest))

    def _resolve(self, name: str, chain: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """Walk down submodules; a name that a package binds itself comes before a module of the same name."""
        while chain and self.sources.module(f"{name}.{chain[0]}") is not None and not self._binds(name, chain[0]):
            name, chain = f"{name}.{chain[0]}", chain[1:]
        return name, chain

    def _binds(self, name: str, attribute: str) -> bool:
        """Whether a package itself gives a name that one of its modules has too, as `from pkg import name` then returns."""
        module = self.sources.module(name)
        return module is not None and attribute in {**module.definitions, **module.imports}

    def _is_exempt(self, name: str) -> bool:
        return any(name == one or name.startswith(one + ".") for one in self.exempt)


def references(module: Module, statement: ast.AST, sources: Sources, typed: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What a statement mentions, as a module and a chain of attributes: names of its own module, imports, dotted strings."""
    waiting = [statement]
    while waiting:
        node = waiting.pop()
        node = node if typed else bare(node)
        root, chain = _chain(node)
        if isinstance(root, ast.Name):
            if root.id in module.definitions:
                yield module.name, (root.id,)
            if target := module.imports.get(root.id):
                yield target[0], (*((target[1],) if target[1] else ()), *chain)
            elif root.id not in module.definitions:
                yield from ((origin, (root.id, *chain)) for origin in module.starred)
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from _mentioned(module, node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = _DOTTED.fullmatch(node.value)
            if match and sources.module(match[1]) is not None:
                yield match[1], (match[2],) if match[2] else ()
        waiting.extend(ast.iter_child_nodes(node))


def _mentioned(module: Module, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, tuple[str, ...]]]:
    """An import inside a function: what it names is mentioned, whatever it is called there."""
    for alias in node.names:
        if isinstance(node, ast.Import) or alias.name == "*":
            yield (alias.name if isinstance(node, ast.Import) else module.absolute(node)), ()
        else:
            yield module.absolute(node), (alias.name,)


def _chain(node: ast.AST) -> tuple[ast.AST, tuple[str, ...]]:
    """`a.b.c` as its root and the attributes after it; any other node as itself."""
    chain = []
    while isinstance(node, ast.Attribute):
        chain.append(node.attr)
        node = node.value
    return node, tuple(reversed(chain))
