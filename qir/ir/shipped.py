"""What the targets that come with qir bring, found by the names of files: a new one is a folder, and no table's row."""

from __future__ import annotations

from pathlib import Path

__all__ = ["lowering_modules"]


def lowering_modules(part: str) -> dict[str, str]:
    """The modules ``qir.lowering.<target>.<part>`` that there are, by target; ``__init__`` means the package itself.

    Nothing is imported.
    """
    folder = Path(__file__).resolve().parents[1] / "lowering"
    names = sorted(path.parent.name for path in folder.glob(f"*/{part}.py"))
    return {name: f"qir.lowering.{name}" + ("" if part == "__init__" else f".{part}") for name in names}
