"""Operators that move, select, repeat or interpolate elements."""

from __future__ import annotations

from typing import Any

from qir.conformance.cases.table import add, apply

IMAGE, ROWS = (1, 8, 9, 7), (1, 12, 16)
END = 2**63 - 1

# ---------------------------------------------------------------- shapes
apply("Reshape", "an image to rows", IMAGE, [1, 8, 63])
apply("Reshape", "rows to an image", ROWS, [1, 4, 12, 4])
apply("Reshape", "an image to a row", IMAGE, [1, -1])
apply("Reshape", "heads", ROWS, [1, 12, 4, 4])
apply("Flatten", "an image", IMAGE)
apply("Transpose", "channels last", IMAGE, perm=[0, 2, 3, 1])
apply("Transpose", "rows", ROWS, perm=[0, 2, 1])
apply("Transpose", "heads", (1, 12, 4, 4), perm=[0, 2, 1, 3])
apply("Squeeze", "one axis", (1, 16, 1, 7), [2])
apply("Unsqueeze", "one axis", ROWS, [1])
add("Identity Dropout", "an image", lambda net, op: net.op("Relu", net.op(op, net.data(*IMAGE))))
apply("DepthToSpace", "DCR", IMAGE, blocksize=2)
apply("DepthToSpace", "CRD", IMAGE, blocksize=2, mode="CRD")
apply("SpaceToDepth", "2", (1, 8, 6, 4), blocksize=2)

# ---------------------------------------------------------------- parts
apply("Slice", "channels", IMAGE, [2], [7], [1])
apply("Slice", "every second pixel", IMAGE, [0, 1], [9, 7], [2, 3], [2, 2])
apply("Slice", "from the end", ROWS, [-5], [END], [1])
apply("Slice", "backwards", ROWS, [-1], [-END], [2], [-1])
apply("Gather", "channels", IMAGE, [0, 5, 3], axis=1)
apply("Gather", "one row", ROWS, 3, axis=1)
add("Gather", "an embedding", lambda net, op: net.op(op, net.numbers(20, 16), net.indices(1, 12, below=20)))
add("Gather", "computed indices", lambda net, op: net.op(op, net.data(*ROWS), net.indices(5, below=12), axis=1))
apply("GatherElements", "rows", ROWS, [[[0, 3, 1, 2]] * 12], axis=2)
apply("GatherND", "rows", ROWS, [[0, 3], [0, 7]])
add("Split", "equal parts", lambda net, op: net.multi(2, op, net.data(*IMAGE), axis=1, num_outputs=2))
add("Split", "parts of 3 and 5", lambda net, op: net.multi(2, op, net.data(*IMAGE), net.constant([3, 5]), axis=1))
add("Split", "3 parts of rows", lambda net, op: net.multi(3, op, net.data(1, 12, 24), axis=-1, num_outputs=3))

# ---------------------------------------------------------------- more elements
apply("Expand", "an axis", (1, 8, 1, 7), [1, 8, 5, 7])
apply("Tile", "twice", ROWS, [1, 2, 1])
apply("Pad", "zeros", IMAGE, [0, 0, 1, 2, 0, 0, 2, 1])
apply("Pad", "a number", IMAGE, [0, 0, 1, 1, 0, 0, 1, 1], 1.25)
apply("Pad", "channels", IMAGE, [0, 1, 0, 0, 0, 2, 0, 0])
apply("Pad", "reflected", IMAGE, [0, 0, 2, 1, 0, 0, 1, 2], mode="reflect")
apply("Pad", "the edge", IMAGE, [0, 0, 2, 1, 0, 0, 1, 2], mode="edge")
apply("Pad", "rows", ROWS, [0, 2, 0, 0, 1, 0])


def resize(label: str, mode: str, scale: float = 2.0, sizes: list[int] | None = None, **attributes: Any) -> None:
    """A Resize of a 6x4 image by `scale`, or to `sizes`."""
    constants = (None, None, sizes) if sizes else (None, [1.0, 1.0, scale, scale])
    apply("Resize", label, (1, 8, 6, 4), *constants, mode=mode, **attributes)


FLOOR: dict[str, Any] = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
resize("nearest, twice", "nearest", **FLOOR)
resize("nearest, half pixels", "nearest")
resize("nearest, to 9x7", "nearest", sizes=[1, 8, 9, 7], **FLOOR)
resize("nearest, a half", "nearest", 0.5, **FLOOR)
resize("linear, twice", "linear")
resize("linear, to 9x7", "linear", sizes=[1, 8, 9, 7])
resize("linear, corners aligned", "linear", coordinate_transformation_mode="align_corners")
resize("linear, asymmetric", "linear", coordinate_transformation_mode="asymmetric")
resize("linear, a half", "linear", 0.5)
resize("cubic, twice", "cubic")
apply("Upsample", "nearest", (1, 8, 6, 4), [1.0, 1.0, 2.0, 2.0], opset=9, mode="nearest")
