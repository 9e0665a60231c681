"""``qir new-target``: a package that brings a target of its own, to start from.

What is written is the folder `skeleton`, with the names put in. It is a working target for an imaginary chip: the
package is type-checked and linted where it stands, and what it becomes passes ``qir check-target``.
"""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from qir.tools._terminal import Streams

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["new_target", "new_target_command"]

SKELETON = Path(__file__).resolve().parent / "skeleton"
TARGET, PACKAGE = "chipname", "chip_package"
"""The names in the skeleton that stand for the target's and the package's."""
LEFT_OUT = ("__init__.py", "__pycache__")
"""What makes the skeleton itself a part of qir, at its top; and what Python leaves behind."""


def new_target_command(args: Namespace, streams: Streams) -> int:
    """Write the package, then say what to do with it."""
    package = args.package or args.name
    folder = Path(args.output or args.name)
    for path in new_target(args.name, package, folder):
        streams.print(str(path))
    streams.print("\nwhat to do next:")
    streams.print(f"  pip install -e {folder}    makes the target known: its entry points stand in pyproject.toml")
    streams.print(f"  qir targets {args.name}    prints its data sheet")
    streams.print(f"  qir check-target {args.name}    tries every line of it against the chip")
    return 0


def new_target(name: str, package: str, folder: Path) -> list[Path]:
    """Write the package `package` with the target `name` into `folder`; gives the files, sorted.

    Raises QirError for names that cannot be used and for a folder that is there and not empty; nothing is then left.
    """
    from qir.ir import fail

    _check_names(name, package)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "is there already" if folder.is_dir() else "is a file"
        fail(str(folder), f"{folder} {what}", "give another folder with -o, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".qir-", dir=folder.parent))
    try:
        for source in _files():
            relative = _named(source.relative_to(SKELETON).as_posix(), name, package)
            target = staging / "new" / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_named(source.read_text(encoding="utf-8"), name, package), encoding="utf-8")
        os.replace(staging / "new", folder)  # an empty folder of that name is replaced
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _files() -> list[Path]:
    found = [path for path in SKELETON.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sorted(path for path in found if path != SKELETON / "__init__.py")


def _named(text: str, name: str, package: str) -> str:
    return text.replace(PACKAGE, package).replace(TARGET, name)


def _check_names(name: str, package: str) -> None:
    """The name is a dialect's and a command's argument, the package's is Python's: both are plain identifiers."""
    from qir.ir import fail
    from qir.ir.context import BUILTIN_DIALECTS
    from qir.target import list_targets

    for what, text in (("target", name), ("package", package)):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", text) or keyword.iskeyword(text):
            near = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
            usable = near and not near[0].isdigit() and not keyword.iskeyword(near)
            hint = f"take '{near}'" if usable else "take lower-case letters, digits and _, a letter first"
            fail(None, f"'{text}' cannot be the name of a {what}", hint)
    if name in list_targets():
        fail(None, f"there is a target '{name}' already", f"qir targets {name} prints its data sheet")
    if name in BUILTIN_DIALECTS:
        fail(None, f"'{name}' is the name of a dialect of qir's", "take the chip's or its compiler's name")
    if package in sys.stdlib_module_names or importlib.util.find_spec(package) is not None:
        fail(None, f"Python has a module '{package}' already", "give the package another name with --package")
