"""Calibration data: samples from archives, folders, images or a Python function, a batch at a time.

Accepted are an ``.npz`` archive with one array per input (first axis: samples), a folder of such archives or of
``.npy`` files, a folder of images, and ``module:function``, a function that gives dictionaries of arrays by input name.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from qir.calibration.arrays import StoredArray, archive, array_file
from qir.dialects.func import FuncOp
from qir.ir import TensorType, fail
from qir.ir.tensors import numpy_dtype

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Batch", "Feed", "InputSpec", "Record", "input_specs", "open_data"]


@attrs.frozen
class InputSpec:
    """An input of the model: name, shape (None where a size is free; None as a whole where the rank is) and dtype."""

    name: str
    shape: tuple[int | None, ...] | None
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        sizes = "?" if self.shape is None else ", ".join("?" if s is None else str(s) for s in self.shape)
        return f"'{self.name}' ({self.dtype} [{sizes}])"


def input_specs(func: FuncOp) -> list[InputSpec]:
    """The inputs of a function. Raises QirError for one that is no tensor of numbers."""
    specs = []
    for arg in func.body.args:
        name = arg.name if arg.name is not None else f"arg{arg.index}"
        if not isinstance(arg.type, TensorType):
            fail(func.location, f"input '{name}' is of type {arg.type}: calibration feeds tensors only")
        try:
            dtype = numpy_dtype(arg.type.element)
        except ValueError:
            fail(func.location, f"input '{name}' is of type {arg.type}: calibration feeds numbers only")
        specs.append(InputSpec(name, arg.type.shape, dtype))
    return specs


@attrs.frozen
class Record:
    """Arrays by input name that belong together; each is one sample or has samples as its first axis."""

    place: str
    arrays: Mapping[str, NDArray[Any] | StoredArray]


# ---------------------------------------------------------------- opening
_KINDS = "an .npz, a folder of .npz, .npy or images, or module:function"
_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff")


def open_data(data: str, specs: list[InputSpec], images: Mapping[str, Any] | None = None) -> Iterable[Record]:
    """The records of a data source, to be walked as often as needed.

    `images` are the options of `qir.calibration.images.ImageFolder`. Raises QirError for a path that is not there, of
    a kind that is not known, or empty.
    """
    path = Path(data)
    if path.is_dir():
        return _folder(path, specs, images or {})
    if path.suffix == ".npz" and path.is_file():
        return [Record(str(path), archive(path))]
    if path.suffix == ".npy" and path.is_file():
        return [_single(path, specs)]
    module, colon, function = data.partition(":")
    if colon and all(part.isidentifier() for part in module.split(".")) and function.isidentifier():
        from qir.calibration.functions import FunctionData

        return FunctionData(module, function)
    if path.exists():
        fail(data, f"{data} is no calibration data", f"give {_KINDS}")
    beside = [p.name for p in path.parent.glob("*")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, 1)
    return fail(data, f"there is no {data}", f"did you mean {path.parent / near[0]}?" if near else f"give {_KINDS}")


def _folder(path: Path, specs: list[InputSpec], images: Mapping[str, Any]) -> Iterable[Record]:
    files = sorted(p for p in path.iterdir() if p.is_file())
    archives = [p for p in files if p.suffix == ".npz"]
    arrays = [p for p in files if p.suffix == ".npy"]
    pictures = [p for p in files if p.suffix.lower() in _IMAGES]
    kinds = [kind for kind in (archives, arrays, pictures) if kind]
    if not kinds:
        nested = any(p.is_dir() for p in path.iterdir())
        hint = "it holds folders only: give one of them" if nested else "put .npz, .npy or image files there"
        fail(str(path), f"the folder {path} holds no calibration data", hint)
    if len(kinds) > 1:
        found = ", ".join(sorted({kind[0].suffix for kind in kinds}))
        fail(str(path), f"the folder {path} holds data of several kinds: {found}", "leave one kind in it")
    if archives:
        return _PerFile(archives, lambda p: Record(str(p), archive(p)))
    if arrays:
        if {p.stem for p in arrays} == {s.name for s in specs}:
            return [Record(str(path), {p.stem: array_file(p) for p in arrays})]
        return _PerFile(arrays, lambda p: _single(p, specs))
    from qir.calibration.images import ImageFolder

    return ImageFolder(pictures, specs, **images)


def _single(path: Path, specs: list[InputSpec]) -> Record:
    """A ``.npy`` file: for models of one input."""
    if len(specs) != 1:
        names = ", ".join(s.name for s in specs)
        fail(str(path), f"{path} holds one array, the model has {len(specs)} inputs: {names}",
             "write an .npz with one array per input, or files named as the inputs")  # fmt: skip
    return Record(str(path), {specs[0].name: array_file(path)})


@attrs.frozen
class _PerFile:
    """One record for each file, opened when it is reached."""

    files: list[Path]
    read: Callable[[Path], Record]

    def __iter__(self) -> Iterator[Record]:
        return map(self.read, self.files)


# ---------------------------------------------------------------- samples and batches
@attrs.frozen
class Batch:
    """Inputs for one run: samples number `first` to `first + count - 1`, read from `place`."""

    inputs: dict[str, NDArray[Any]]
    first: int
    count: int
    place: str


@attrs.define
class Feed:
    """Batches of the model's inputs from records.

    An array is one sample after the other along its first axis. Where the model's own first axis is free, `batch`
    samples run at once; where it is fixed to B, B rows are one sample. An array of one axis more than the input holds
    whole inputs; one of an axis less is a single sample without its batch axis. At most `samples` are read (0: all).

    Raises QirError, naming the place, for inputs that are missing, of another dtype, rank or shape, of different
    numbers of samples, empty, or that hold NaN or infinities.
    """

    records: Iterable[Record]
    specs: list[InputSpec]
    batch: int = 8
    samples: int = 0
    ignored: list[str] = attrs.field(factory=list)
    """Arrays that are no inputs of the model (labels, mostly)."""

    def __iter__(self) -> Iterator[Batch]:
        pending: list[_Chunk] = []
        start = 0
        for chunk in self._chunks():
            held = sum(c.count for c in pending)
            if pending and not (chunk.joins(pending[-1]) and held + chunk.count <= self.batch):
                yield _joined(pending, start)
                start, pending, held = start + held, [], 0
            pending.append(chunk)
            if held + chunk.count >= self.batch or not chunk.batchable:
                yield _joined(pending, start)
                start, pending = start + held + chunk.count, []
        if pending:
            yield _joined(pending, start)
            start += sum(c.count for c in pending)
        if start == 0:
            fail(None, "the calibration data holds no samples", "give at least one sample, some hundred are usual")

    def _chunks(self) -> Iterator[_Chunk]:
        left = self.samples if self.samples > 0 else None
        seen = 0
        for record in self.records:
            reader = _RecordReader(record, self.specs)
            self.ignored += [n for n in reader.extra if n not in self.ignored]
            count = reader.units if left is None else min(left, reader.units)
            for chunk in reader.chunks(count, self.batch):
                _check_finite(chunk, seen)
                seen += chunk.count
                yield chunk
            if left is not None:
                left -= count
                if left <= 0:
                    return

    def total(self) -> int | None:
        """The number of samples, where it is known without reading all of them."""
        if isinstance(self.records, list):
            count = sum(_RecordReader(r, self.specs).units for r in self.records)
        elif hasattr(self.records, "files") and not isinstance(self.records, _PerFile):
            count = len(self.records.files)
        else:
            return self.samples or None
        return min(count, self.samples) if self.samples > 0 else count


@attrs.frozen
class _Chunk:
    arrays: dict[str, NDArray[Any]]
    count: int
    batchable: bool
    place: str

    def joins(self, other: _Chunk) -> bool:
        """Whether both can run as one batch."""
        same = all(self.arrays[name].shape[1:] == array.shape[1:] for name, array in other.arrays.items())
        return self.batchable and other.batchable and same


def _joined(chunks: list[_Chunk], first: int) -> Batch:
    import numpy as np

    arrays = chunks[0].arrays
    if len(chunks) > 1:
        arrays = {name: np.concatenate([c.arrays[name] for c in chunks]) for name in arrays}
    return Batch(arrays, first, sum(c.count for c in chunks), chunks[0].place)


def _check_finite(chunk: _Chunk, seen: int) -> None:
    import numpy as np

    for name, array in chunk.arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            rows = array.reshape(chunk.count, -1)
            row = int(np.flatnonzero(~np.isfinite(rows).all(1))[0])
            what = "NaN" if np.isnan(rows[row]).any() else "an infinity"
            message = f"sample {seen + row} of input '{name}' holds {what}"
            fail(chunk.place, message, "leave broken samples out of the data")


class _RecordReader:
    """A record checked against the model's inputs."""

    def __init__(self, record: Record, specs: list[InputSpec]) -> None:
        self.record = record
        names = [s.name for s in specs]
        self.extra = [n for n in record.arrays if n not in names]
        missing = [s for s in specs if s.name not in record.arrays]
        if missing:
            near = difflib.get_close_matches(missing[0].name, self.extra, 1)
            hint = f"is '{near[0]}' meant? rename it" if near else f"it holds {', '.join(record.arrays) or 'nothing'}"
            fail(record.place, f"the data has no array for the model's input {missing[0]}", hint)
        self.layouts = [_Layout.of(spec, record.arrays[spec.name], record.place) for spec in specs]
        counts = {layout.spec.name: layout.units for layout in self.layouts}
        self.units = min(counts.values(), default=0)
        if len(set(counts.values())) > 1:
            words = ", ".join(f"{count} of '{name}'" for name, count in counts.items())
            fail(record.place, f"the inputs have different numbers of samples: {words}", "give as many of each input")
        self.batchable = all(layout.batchable for layout in self.layouts)

    def chunks(self, count: int, batch: int) -> Iterator[_Chunk]:
        size = batch if self.batchable else 1
        sizes = [min(size, count - i) for i in range(0, count, size)]
        streams = [layout.read(self.record.arrays[layout.spec.name], sizes) for layout in self.layouts]
        for n, *parts in zip(sizes, *streams, strict=False):
            arrays = {
                layout.spec.name: part.astype(layout.spec.dtype, copy=False)
                for layout, part in zip(self.layouts, parts, strict=True)
            }
            yield _Chunk(arrays, n, self.batchable, self.record.place)


@attrs.frozen
class _Layout:
    """How an array holds samples of an input: `units` of them, `rows` of the first axis each. `form` is "stacked"
    (rows are the input's own), "whole" (one input per row) or "single" (one sample without its batch axis)."""

    spec: InputSpec
    form: str
    units: int
    rows: int

    @property
    def batchable(self) -> bool:
        shape = self.spec.shape
        return self.form != "whole" and (shape is None or shape[0] is None)

    @staticmethod
    def of(spec: InputSpec, array: NDArray[Any] | StoredArray, place: str) -> _Layout:
        given = tuple(array.shape)
        spelled = "x".join(map(str, given)) or "a scalar"
        if not _exact(array.dtype, spec.dtype):
            fail(place, f"the data of input {spec} is {array.dtype}", f"convert it: array.astype('{spec.dtype}')")
        if 0 in given:
            fail(place, f"the data of input {spec} is empty ({spelled})", "give at least one sample")
        shape = spec.shape
        if shape is None:
            return _Layout(spec, "stacked", given[0] if given else 1, 1)
        rank = len(shape)
        if len(given) == rank and rank and _fits(given[1:], shape[1:]):
            rows = shape[0] or 1
            if given[0] % rows:
                fail(place, f"the data of input {spec} has {given[0]} rows; the model takes {rows} at a time",
                     f"give a multiple of {rows}")  # fmt: skip
            return _Layout(spec, "stacked", given[0] // rows, rows)
        if len(given) == rank + 1 and _fits(given[1:], shape):
            return _Layout(spec, "whole", given[0], 1)
        if rank and len(given) == rank - 1 and shape[0] in (None, 1) and _fits(given, shape[1:]):
            return _Layout(spec, "single", 1, 1)
        hint = "its first axis is the samples, the others are the model's"
        return fail(place, f"the data of input {spec} is {spelled}", hint)

    def read(self, array: NDArray[Any] | StoredArray, sizes: list[int]) -> Iterator[NDArray[Any]]:
        """Arrays as the model takes them, for so many samples each."""
        import numpy as np

        if self.form == "single":
            whole = array.read() if isinstance(array, StoredArray) else array
            yield from (whole[None] for _ in sizes)
            return
        counts = [n * self.rows for n in sizes]
        if isinstance(array, StoredArray):
            parts: Iterator[NDArray[Any]] = array.rows(iter(counts))
        else:
            ends = list(itertools.accumulate(counts))
            parts = (array[end - n : end] for n, end in zip(counts, ends, strict=True))
        for part in parts:
            yield np.asarray(part[0]) if self.form == "whole" else part


def _exact(given: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    """Whether data of one type is taken for the other: the same, or integers (of tokens, mostly) that were stored in
    fewer bits. Floats of another width, or integers for floats, are more likely a forgotten preprocessing."""
    import numpy as np

    return given == wanted or (given.kind in "iu" and wanted.kind in "iu" and np.can_cast(given, wanted, "safe"))


def _fits(given: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return len(given) == len(shape) and all(s is None or s == g for g, s in zip(given, shape, strict=True))
