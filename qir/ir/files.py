"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file to write, which takes its name when the block ends: readers see the old content or the new one, and
    a mapping of the old one stays what it was. After an error nothing is left. Raises OSError."""
    name = os.fspath(path)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(name) or ".", prefix=".qir-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        mask = os.umask(0)  # mkstemp's files are the owner's alone
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, name)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
