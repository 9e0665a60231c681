"""The layers of the package, read from the syntax trees: imports go downward only.

Relative imports count, and imports inside functions and under TYPE_CHECKING do too: what only a type checker sees is
a dependency for whoever reads the file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# From the top down; parts on one line may use each other. A part is a package or module below `qir`.
LAYERS = (
    ("tools",),
    ("api", "job", "artifact", "backend", "conformance"),  # what qir/__init__.py re-exports, and the whole job
    ("lowering",),
    ("passes", "calibration", "analysis", "frontends"),
    ("target", "target_diff", "datasheet", "runtime_process"),
    ("interpreter",),
    ("dialects", "rewrite", "text"),
    ("triton_kernels",),
    ("numerics",),
    ("ir",),
)
LEVEL = {part: level for level, parts in enumerate(reversed(LAYERS)) for part in parts}
# The module that re-exports names is above everything that it names.
LEVEL[""] = LEVEL["api"]
# Nobody but a part that needs it may load these; a job that only reads and prints text must start fast.
HEAVY = {
    "torch": {"ir", "text", "rewrite", "dialects", "target", "target_diff", "datasheet", "runtime_process"},
    "onnx": {"ir", "text", "rewrite", "numerics"},
}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package: its dotted name and file."""
    package = ROOT / "qir"
    stack = [("qir", package)]
    while stack:
        name, folder = stack.pop()
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                if path.name.isidentifier() and path.name != "__pycache__":
                    stack.append((f"{name}.{path.name}", path))
            elif path.suffix == ".py":
                yield (name if path.stem == "__init__" else f"{name}.{path.stem}"), path


def imports(name: str, path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) for every import statement in a file."""
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("import_module", "importlib.import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


def part_of(dotted: str) -> str | None:
    """The part of the package that a dotted name lies in; None outside the package, '' for the package's own names."""
    root, *rest = dotted.split(".")
    if root != "qir":
        return None
    return rest[0] if rest and rest[0] in LEVEL else ""


FILES = list(modules())


def test_every_part_has_a_layer() -> None:
    parts = {name.split(".")[1] for name, _ in FILES if "." in name}
    assert parts <= LEVEL.keys(), "a new top-level part must be given its layer in this test and in architecture.md"


@pytest.mark.parametrize("name,path", FILES, ids=[name for name, _ in FILES])
def test_imports_go_downward(name: str, path: Path) -> None:
    own = part_of(name)
    assert own is not None
    upward = [
        f"{path.relative_to(ROOT)}:{line}: {own or 'qir'} imports {dotted}"
        for line, dotted in imports(name, path)
        if (part := part_of(dotted)) is not None and part != own and LEVEL[part] > LEVEL[own]
    ]
    assert not upward, "\n".join(upward)


def test_no_target_is_named_outside_its_folder() -> None:
    """A part below `lowering` must not import one target; it finds targets through the registry."""
    found = [
        f"{path.relative_to(ROOT)}:{line}: {dotted}"
        for name, path in FILES
        if part_of(name) not in ("lowering", "tools", "api")
        for line, dotted in imports(name, path)
        if dotted.startswith("qir.lowering")
    ]
    assert not found, "\n".join(found)


def test_heavy_libraries_are_not_loaded_at_import() -> None:
    """`import torch` at the top of a file only in parts that a text-only job does not load."""
    found = []
    for name, path in FILES:
        for node in ast.parse(path.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for library in names:
                root = library.split(".")[0]
                if part_of(name) in HEAVY.get(root, ()):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {library}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("folder", ["dialects", "lowering", "triton_kernels", "tools"])
def test_the_four_folders_are_links_and_have_one_name(folder: str) -> None:
    link = ROOT / "qir" / folder
    assert link.is_symlink()
    assert link.readlink() == Path("..") / folder
    source = (ROOT / folder / "__init__.py").read_text()
    with pytest.raises(ImportError, match=f"qir.{folder}"):
        exec(compile(source, folder, "exec"), {"__name__": folder})
