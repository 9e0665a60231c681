"""What targets bring, found by the names of files: a new one is a folder (or a package) and no table's row."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

__all__ = ["installed_modules", "lowering_modules"]


def lowering_modules(part: str) -> dict[str, str]:
    """The modules ``qir.lowering.<target>.<part>`` that there are, by target; ``__init__`` means the package itself.

    Nothing is imported.
    """
    folder = Path(__file__).resolve().parents[1] / "lowering"
    names = sorted(path.parent.name for path in folder.glob(f"*/{part}.py"))
    return {name: f"qir.lowering.{name}" + ("" if part == "__init__" else f".{part}") for name in names}


@functools.cache
def installed_modules(part: str) -> dict[str, str]:
    """The modules called `part` beside the targets of installed packages, by target.

    Such a package names its target in the entry-point group ``qir.targets``; with ``npu = "acme_npu:TARGET"`` its
    dialect is looked for in ``acme_npu.dialect``. The package itself is not imported, packages around it are.
    """
    from importlib.metadata import entry_points

    found = {}
    for point in entry_points(group="qir.targets"):
        package = point.value.partition(":")[0]
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):  # what is wrong with it is said when the target is asked for
            continue
        folders = (spec.submodule_search_locations if spec is not None else None) or ()
        if any((Path(folder) / f"{part}.py").is_file() for folder in folders):
            found[point.name] = f"{package}.{part}"
    return found
