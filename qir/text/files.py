"""Writing a module as a file, with its weights beside it."""

from __future__ import annotations

import os
import shutil
import tempfile

from qir.ir.attributes import ArrayAttr, Attribute, StringAttr
from qir.ir.core import Operation
from qir.ir.diagnostics import fail
from qir.ir.files import whole_file
from qir.ir.tensors import Tensor
from qir.text.printer import Printer
from qir.text.resources import RESOURCE_FILES
from qir.text.safetensors import SideFile, SideTensor, identity, write_side_file

__all__ = ["write_module"]


def write_module(
    op: Operation,
    path: str | os.PathLike[str],
    *,
    generic: bool = False,
    debuginfo: bool = False,
    elide: int | None = None,
) -> list[str]:
    """Write a module to `path`, and its ``dense_resource`` data beside it as ``.safetensors``; returns all files.

    Data that already lies in such a file is not written again: the file is linked (or named, or copied where links are
    not possible). Files appear whole or not at all. Raises QirError where something cannot be written.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        fail(name, "cannot be written: it is a folder", "give the name of a file")
    printer = Printer(op, generic=generic, debuginfo=debuginfo, elide=elide)
    text = printer.text()
    written: list[str] = []
    try:
        if printer.resources:
            beside = _write_weights(name, printer.resources, written)
            value: Attribute = StringAttr(beside[0]) if len(beside) == 1 else ArrayAttr(tuple(map(StringAttr, beside)))
            # Print again with the attribute that names the files. Keys stay: they depend on the module alone.
            text = Printer(
                op, generic=generic, debuginfo=debuginfo, elide=elide, attributes={RESOURCE_FILES: value}
            ).text()
        _write_text(name, text)
    except OSError as error:
        fail(error.filename or name, f"cannot be written: {error.strerror}")
    return [name, *written]


def _write_text(path: str, text: str) -> None:
    if os.path.exists(path) and not os.path.isfile(path):  # a device or pipe: written in place
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))


def _write_weights(path: str, resources: dict[str, Tensor], written: list[str]) -> list[str]:
    """Put the data beside `path`. Returns the names of the files, the newly written one first."""
    folder = os.path.dirname(path) or "."
    stem = os.path.splitext(os.path.basename(path))[0]
    kept = _kept_files(resources)
    fresh = {key: tensor for key, tensor in resources.items() if not any(key in keys for _, keys in kept)}
    names: list[str] = []
    number = 0

    def next_name() -> str:
        nonlocal number
        name = f"{stem}.safetensors" if number == 0 else f"{stem}.{number}.safetensors"
        number += 1
        return name

    plan: list[tuple[str, str]] = []
    if fresh:
        names.append(next_name())
    for source, _ in kept:
        name = next_name()
        plan.append((source, os.path.join(folder, name)))
        names.append(name)
    for source, target in _in_order(plan):
        _link(source, target)
        written.append(target)
    if fresh:
        target = os.path.join(folder, names[0])
        write_side_file(target, fresh)
        written.append(target)
    return names


def _kept_files(resources: dict[str, Tensor]) -> list[tuple[str, set[str]]]:
    """Side files that already hold some of the data under the same keys, each with those keys."""
    files: dict[str, SideFile] = {}
    kept: dict[str, set[str]] = {}
    for key, tensor in resources.items():
        if isinstance(tensor, SideTensor) and tensor.file.entries.get(key) == (tensor.offset, tensor.size):
            file = files.setdefault(tensor.path, tensor.file)
            if file.identity == tensor.file.identity and _unchanged(file):
                kept.setdefault(tensor.path, set()).add(key)
    # A key is looked up in the files in order: a file must not come before another that is to give one of its keys.
    result: list[tuple[str, set[str]]] = []
    for path, keys in kept.items():
        earlier = [files[other].entries for other, _ in result]
        visible = {key for key in keys if not any(key in entries for entries in earlier)}
        if visible:
            result.append((path, visible))
    return result


def _unchanged(file: SideFile) -> bool:
    """Whether the file of that name is still the one that is mapped."""
    try:
        return identity(file.path) == file.identity
    except OSError:
        return False


def _in_order(plan: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Links ordered so that no file is replaced before it was linked under its new name."""
    pending, ordered = list(plan), []
    while pending:
        free = [p for p in pending if not any(_same(p[1], q[0]) for q in pending if q is not p)]
        step = free[0] if free else pending[0]
        pending.remove(step)
        ordered.append(step)
    return ordered


def _same(a: str, b: str) -> bool:
    return os.path.realpath(a) == os.path.realpath(b)


def _link(source: str, target: str) -> None:
    """Make `target` the same file as `source`; a copy where the file system cannot link."""
    if _same(source, target) or (os.path.exists(target) and os.path.samefile(source, target)):
        return
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(target) or ".", prefix=".qir-", suffix=".tmp")
    os.close(handle)
    os.unlink(temporary)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)
