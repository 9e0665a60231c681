"""Arrays read from files a few rows at a time: ``.npy`` files and the members of ``.npz`` archives.

Nothing is unpickled, and no more than the rows asked for is held in memory, whether or not the archive is compressed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import attrs

from qir.ir import fail

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["StoredArray", "archive", "array_file"]


@attrs.frozen
class StoredArray:
    """An array in a file. `place` names it in messages (``calib.npz[input]``); `member` is its file in the archive."""

    path: Path
    member: str | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool

    @property
    def place(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}[{self.member.removesuffix('.npy')}]"

    def rows(self, counts: Iterator[int]) -> Iterator[NDArray[Any]]:
        """Arrays of so many rows (the first axis) each, from the start of the file on."""
        import numpy as np

        with _opened(self.path, self.member) as file:
            _read_header(file)
            if self.fortran_order:
                whole = np.frombuffer(file.read(), self.dtype).reshape(self.shape, order="F")
            row = self.shape[1:]
            size = int(np.prod(row, dtype=np.int64)) * self.dtype.itemsize
            start = 0
            for count in counts:
                if self.fortran_order:
                    yield whole[start : start + count]
                else:
                    data = file.read(count * size)
                    if len(data) != count * size:
                        fail(str(self.path), f"{self.place} is cut short", "write the file again")
                    yield np.frombuffer(data, self.dtype).reshape((count, *row))
                start += count

    def read(self) -> NDArray[Any]:
        """The whole array."""
        return next(self.rows(iter((self.shape[0],)))) if self.shape else self._scalar()

    def _scalar(self) -> NDArray[Any]:
        import numpy as np

        with _opened(self.path, self.member) as file:
            _read_header(file)
            return np.frombuffer(file.read(), self.dtype).reshape(())


class _Opened:
    """A file, or a member of an archive, as a context manager."""

    def __init__(self, path: Path, member: str | None) -> None:
        self.path, self.member = path, member
        self.archive: zipfile.ZipFile | None = None

    def __enter__(self) -> IO[bytes]:
        if self.member is None:
            self.file: IO[bytes] = open(self.path, "rb")
        else:
            self.archive = zipfile.ZipFile(self.path)
            self.file = self.archive.open(self.member)
        return self.file

    def __exit__(self, *exc: object) -> None:
        self.file.close()
        if self.archive is not None:
            self.archive.close()


def _opened(path: Path, member: str | None) -> _Opened:
    return _Opened(path, member)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = npy.read_array_header_1_0(file)
    else:
        shape, fortran, dtype = npy.read_array_header_2_0(file)
    return shape, fortran, dtype


def _stored(path: Path, member: str | None) -> StoredArray:
    try:
        with _opened(path, member) as file:
            shape, fortran, dtype = _read_header(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        message = f"{path} holds no numpy array that can be read: {error}"
        fail(str(path), message, "write it with numpy.save or numpy.savez")
    found = StoredArray(path, member, shape, dtype, fortran)
    if dtype.hasobject:
        fail(str(path), f"{found.place} holds Python objects, which are never loaded", "write arrays of numbers")
    return found


def array_file(path: Path) -> StoredArray:
    """The array of a ``.npy`` file. Raises QirError where there is none."""
    return _stored(path, None)


def archive(path: Path) -> dict[str, StoredArray]:
    """The arrays of a ``.npz`` archive by name. Raises QirError for a file that is none, and for an empty one."""
    try:
        with zipfile.ZipFile(path) as file:
            members = [name for name in file.namelist() if name.endswith(".npy")]
    except (OSError, zipfile.BadZipFile) as error:
        fail(str(path), f"{path} is no .npz archive: {error}", "write it with numpy.savez(path, input_name=array)")
    if not members:
        fail(str(path), f"{path} holds no arrays", "write one array per input: numpy.savez(path, input_name=array)")
    return {name.removesuffix(".npy"): _stored(path, name) for name in members}
