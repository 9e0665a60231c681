"""Calibration data: every kind of source, and what each kind of bad data is told."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qir.calibration.data import Feed, InputSpec, open_data
from qir.ir import QirError

F = np.dtype(np.float32)
X = InputSpec("x", (None, 2, 3), F)


def feed(path: object, *specs: InputSpec, **options: Any) -> Feed:
    images = options.pop("images", {})
    given = list(specs or (X,))
    return Feed(open_data(str(path), given, images), given, **options)


def rows(feed: Feed, name: str = "x") -> np.ndarray[Any, Any]:
    return np.concatenate([b.inputs[name] for b in feed])


def data(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


# ---------------------------------------------------------------- sources
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_is_read_in_batches(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "c.npz", x=data(7, 2, 3), y=np.arange(7))
    found = feed(tmp_path / "c.npz", batch=3)
    batches = list(found)
    assert [(b.first, b.count) for b in batches] == [(0, 3), (3, 3), (6, 1)]
    assert np.array_equal(rows(found), data(7, 2, 3))  # a second walk gives the same
    assert found.ignored == ["y"] and found.total() == 7


def test_at_most_so_many_samples_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=data(7, 2, 3))
    found = feed(tmp_path / "c.npz", batch=4, samples=5)
    assert [b.count for b in found] == [4, 1] and found.total() == 5


def test_column_order_is_read_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=np.asfortranarray(data(5, 2, 3)))
    assert np.array_equal(rows(feed(tmp_path / "c.npz", batch=2)), data(5, 2, 3))


def test_a_fixed_batch_takes_its_samples_one_by_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=data(6, 2, 3))
    assert [b.inputs["x"].shape[0] for b in feed(tmp_path / "c.npz", InputSpec("x", (1, 2, 3), F), batch=4)] == [1] * 6
    assert [b.inputs["x"].shape[0] for b in feed(tmp_path / "c.npz", InputSpec("x", (2, 2, 3), F), batch=4)] == [2] * 3


def test_an_array_of_one_axis_more_holds_whole_inputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=data(4, 2, 3), state=data(4, 2, 1, 5))
    batches = list(feed(tmp_path / "c.npz", X, InputSpec("state", (2, 1, 5), F), batch=4))
    assert [b.inputs["state"].shape for b in batches] == [(2, 1, 5)] * 4
    assert [b.inputs["x"].shape for b in batches] == [(1, 2, 3)] * 4


def test_scalar_inputs_have_one_number_per_sample(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=data(2, 2, 3), rate=np.array([8000, 16000]))
    batches = list(feed(tmp_path / "c.npz", X, InputSpec("rate", (), np.dtype(np.int64))))
    assert [(b.inputs["rate"].shape, int(b.inputs["rate"])) for b in batches] == [((), 8000), ((), 16000)]


def test_a_folder_of_archives_is_joined_into_batches(tmp_path: Path) -> None:
    for i in range(5):
        np.savez(tmp_path / f"{i}.npz", x=data(1, 2, 3) + i)
    batches = list(feed(tmp_path, batch=2))
    assert [(b.first, b.count) for b in batches] == [(0, 2), (2, 2), (4, 1)]


def test_samples_of_different_sizes_are_not_joined(tmp_path: Path) -> None:
    for i, width in enumerate((3, 3, 4)):
        np.save(tmp_path / f"{i}.npy", data(2, width))  # without a batch axis
    found = list(feed(tmp_path, InputSpec("x", (None, 2, None), F), batch=8))
    assert [b.inputs["x"].shape for b in found] == [(2, 2, 3), (1, 2, 4)]


def test_npy_files_named_as_the_inputs_are_one_data_set(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", data(3, 2, 3))
    np.save(tmp_path / "n.npy", np.arange(3))
    found = list(feed(tmp_path, X, InputSpec("n", (None,), np.dtype(np.int64)), batch=2))
    assert [b.inputs["n"].tolist() for b in found] == [[0, 1], [2]]


def test_a_function_yields_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "calibset_a.py").write_text(
        "import numpy as np, torch\n"
        "def samples():\n"
        "    yield {'x': np.ones((2, 3), np.float32)}\n"
        "    yield {'x': torch.full((1, 2, 3), 2.0)}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert rows(feed("calibset_a:samples", batch=8))[:, 0, 0].tolist() == [1.0, 2.0]


def test_images_are_resized_and_scaled(tmp_path: Path) -> None:
    from PIL import Image

    for i in range(3):
        Image.new("RGB", (8, 6), (10 * i, 100, 200)).save(tmp_path / f"{i}.png")
    spec = InputSpec("x", (None, 3, 4, 5), F)
    found = feed(tmp_path, spec, batch=2, images={"mean": (10.0, 0.0, 0.0), "scale": (0.5,), "bgr": True})
    assert found.total() == 3
    x = rows(found)
    assert x.shape == (3, 3, 4, 5)
    assert x[2, :, 0, 0].tolist() == [95.0, 50.0, 10.0]  # blue first, less the mean, halved
    nhwc = rows(feed(tmp_path, InputSpec("x", (1, 4, 5, 1), np.dtype(np.uint8))))
    assert nhwc.shape == (3, 4, 5, 1)


# ---------------------------------------------------------------- bad data
def errors(path: object, *specs: InputSpec, **options: Any) -> str:
    with pytest.raises(QirError) as caught:
        list(feed(path, *specs, **options))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.hint is not None
    return str(diagnostic)


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    np.savez(tmp_path / "calib.npz", x=data(1, 2, 3))
    assert "did you mean" in errors(tmp_path / "clib.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": data(2, 2, 3)}, "the data has no array for the model's input 'x' (float32 [?, 2, 3])"),
        ({"x": data(2, 2, 4)}, "the data of input 'x' (float32 [?, 2, 3]) is 2x2x4"),
        ({"x": data(6)}, "is 6"),
        ({"x": data(2, 2, 3).astype(np.float64)}, "is float64"),
        ({"x": np.zeros((0, 2, 3), np.float32)}, "is empty (0x2x3)"),
        (
            {"x": np.where(data(4, 2, 3) == 20, np.nan, data(4, 2, 3)).astype(np.float32)},
            "sample 3 of input 'x' holds NaN",
        ),
        (
            {"x": np.where(data(4, 2, 3) == 7, np.inf, data(4, 2, 3)).astype(np.float32)},
            "sample 1 of input 'x' holds an infinity",
        ),
    ],
)
def test_bad_arrays(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "c.npz", **arrays)
    assert message in errors(tmp_path / "c.npz", batch=2)


def test_inputs_with_different_numbers_of_samples(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=data(3, 2, 3), z=data(2, 5))
    assert "3 of 'x', 2 of 'z'" in errors(tmp_path / "c.npz", X, InputSpec("z", (None, 5), F))


def test_rows_that_do_not_fill_the_models_batch(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=data(5, 2, 3))
    assert "has 5 rows; the model takes 2 at a time" in errors(tmp_path / "c.npz", InputSpec("x", (2, 2, 3), F))


def test_python_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=np.array([{}, None], object))
    assert "holds Python objects, which are never loaded" in errors(tmp_path / "c.npz")


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "c.npz").write_bytes(b"PK no")
    assert "is no .npz archive" in errors(tmp_path / "c.npz")
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as file:
        file.writestr("x.npy", b"junk")
    assert "holds no numpy array" in errors(tmp_path / "d.npz")


def test_an_array_that_is_cut_short(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", data(4, 2, 3))
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[:-10])
    assert "is cut short" in errors(tmp_path / "x.npy")


def test_folders_of_nothing_and_of_everything(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    assert "it holds folders only" in errors(tmp_path)
    assert "holds no calibration data" in errors(tmp_path / "inner")
    np.save(tmp_path / "a.npy", data(1, 2, 3))
    np.savez(tmp_path / "b.npz", x=data(1, 2, 3))
    assert "several kinds: .npy, .npz" in errors(tmp_path)


def test_files_of_an_unknown_kind(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("1 2 3")
    assert "is no calibration data" in errors(tmp_path / "c.txt")


def test_functions_that_are_not_there_or_give_nonsense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "calibset_b.py").write_text("def numbers():\n    yield 3\ndef nothing():\n    return []\n")
    monkeypatch.chdir(tmp_path)
    assert "cannot be imported" in errors("calibset_nowhere:f")
    assert "has no function 'other'" in errors("calibset_b:other")
    assert "sample 0 of calibset_b:numbers is int, not a dictionary" in errors("calibset_b:numbers")
    assert "holds no samples" in errors("calibset_b:nothing")


@pytest.mark.parametrize(
    ("shape", "images", "message"),
    [
        ((None, 3), {}, "one input of rank 4"),
        ((None, 7, 4, 4), {}, "images have 1 or 3 channels"),
        ((None, 3, 4, 4), {"layout": "hwc"}, "unknown layout 'hwc'"),
        ((None, 3, 4, 4), {"mean": (1.0, 2.0)}, "mean takes one number, or one for each of the 3 channels, not 2"),
        ((None, 3, 4, 4), {}, "is no image that can be read"),
    ],
)
def test_images_that_do_not_fit(tmp_path: Path, shape: Any, images: dict[str, Any], message: str) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    assert message in errors(tmp_path, InputSpec("x", shape, F), images=images)


def test_only_the_rows_asked_for_are_in_memory(tmp_path: Path) -> None:
    import tracemalloc

    np.savez(tmp_path / "c.npz", x=np.zeros((64, 2, 3 * 65536), np.float32))  # 100 MB
    spec = InputSpec("x", (None, 2, 3 * 65536), F)
    tracemalloc.start()
    for _ in feed(tmp_path / "c.npz", spec, batch=1):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_integers_stored_in_fewer_bits_are_widened(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", ids=np.array([[1, 200], [3, 4]], np.uint8))
    ids = InputSpec("ids", (None, 2), np.dtype(np.int64))
    (batch,) = feed(tmp_path / "c.npz", ids)
    assert batch.inputs["ids"].dtype == np.int64 and batch.inputs["ids"].tolist() == [[1, 200], [3, 4]]
    np.savez(tmp_path / "wide.npz", ids=np.array([[1, 2]], np.int64))
    with pytest.raises(QirError, match="int64"):
        list(feed(tmp_path / "wide.npz", InputSpec("ids", (None, 2), np.dtype(np.int32))))
