"""Small float ONNX models, built node by node: what a case of the conformance kit is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

__all__ = ["HEAD", "STEM", "Input", "Net"]

STEM, HEAD = "stem", "head"
"""What the names of the nodes begin with that only stand around the operation under test."""

Stem = Callable[["Net", str, tuple[int, ...]], str]


@attrs.frozen
class Input:
    """A graph input: its shape, and the numbers that it gets, from `low` to `high`; `whole` ones are int64."""

    shape: tuple[int, ...]
    low: float
    high: float
    whole: bool = False


class Net:
    """A graph under construction. Names are values; the same seed gives the same constants.

    `data` gives the activations that the operation under test reads: graph inputs, or what `stem` makes of them. With
    `extreme` all weights lie at the ends of their range, of one sign for each output channel.
    """

    def __init__(self, seed: int, opset: int, stem: Stem | None = None, extreme: bool = False) -> None:
        import numpy as np

        self.rng = np.random.default_rng(seed)
        self.opset, self.stem, self.extreme = opset, stem, extreme
        self.inputs: dict[str, Input] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    # ------------------------------------------------------------ operands
    def data(self, *shape: int, low: float = -3.0, high: float = 3.0) -> str:
        """An activation with numbers from `low` to `high`."""
        name = f"x{len(self.inputs)}"
        self.inputs[name] = Input(shape, low, high)
        return self.stem(self, name, shape) if self.stem is not None else name

    def indices(self, *shape: int, below: int) -> str:
        """A graph input of integers from 0 to `below` - 1."""
        name = f"i{len(self.inputs)}"
        self.inputs[name] = Input(shape, 0, below - 1, whole=True)
        return name

    def constant(self, value: NDArray[Any] | float | Sequence[Any], name: str = "c") -> str:
        """A constant; floats become float32, integers int64."""
        import numpy as np
        from onnx import numpy_helper

        array = np.asarray(value)
        array = array.astype({"f": np.float32, "i": np.int64, "b": np.bool_}[array.dtype.kind])
        unique = f"{name}{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, unique))
        return unique

    def numbers(self, *shape: int, scale: float = 1.0) -> str:
        """A constant of normal numbers."""
        return self.constant(self.rng.normal(0, scale, shape))

    def weight(self, *shape: int, axis: int = 0) -> str:
        """A weight whose output channels lie along `axis`: sums over the other axes come out about as large as the
        data."""
        import numpy as np

        fan_in = max(1, int(np.prod(shape)) // shape[axis])
        if not self.extreme:
            return self.constant(self.rng.normal(0, fan_in**-0.5, shape), "w")
        sizes = [1] * len(shape)
        sizes[axis] = shape[axis]
        signs = np.where(np.arange(shape[axis]) % 2, -1.0, 1.0).reshape(sizes)
        return self.constant(np.broadcast_to(signs / fan_in, shape), "w")

    def bias(self, size: int) -> str:
        """One number per output channel."""
        return self.constant(self.rng.normal(0, 0.3, size), "b")

    # ------------------------------------------------------------ nodes
    def op(self, op_type: str, *operands: str, prefix: str = "", **attributes: Any) -> str:
        """A node of one result; `op_type` may start with a domain (``com.microsoft.Gelu``). Absent operands are ""."""
        return self.multi(1, op_type, *operands, prefix=prefix, **attributes)[0]

    def multi(self, results: int, op_type: str, *operands: str, prefix: str = "", **attributes: Any) -> list[str]:
        """A node of several results."""
        from onnx import helper

        domain, _, kind = op_type.rpartition(".")
        number = len(self.nodes)
        names = [f"v{number}_{i}" if results > 1 else f"v{number}" for i in range(results)]
        node = f"{prefix or kind.lower()}{number}"
        self.nodes.append(helper.make_node(kind, operands, names, name=node, domain=domain, **attributes))
        return names

    def model(self, results: Sequence[str]) -> onnx.ModelProto:
        """The model that returns `results`, with inferred shapes. Raises onnx's errors for a graph that is wrong."""
        import onnx
        from onnx import TensorProto, helper

        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64 if i.whole else TensorProto.FLOAT, list(i.shape))
            for name, i in self.inputs.items()
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in results]
        graph = helper.make_graph(self.nodes, "case", inputs, outputs, self.initializers)
        domains = {node.domain for node in self.nodes} | {""}
        opsets = [helper.make_opsetid(d, 1 if d else self.opset) for d in sorted(domains)]
        ir_version = helper.find_min_ir_version_for(opsets, ignore_unknown=True)
        model = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        known = {info.name: info for info in (*model.graph.input, *model.graph.value_info)}
        for info in model.graph.output:
            if not info.type.tensor_type.HasField("shape"):  # onnx knows no shapes of these functions: their operand's
                source = next(node for node in self.nodes if info.name in node.output)
                info.type.CopyFrom(known[source.input[0]].type)
        return model

    def shape_of(self, value: str) -> tuple[int, ...] | None:
        """The shape of a float value of the graph as far as it is built; None if it is not known or of another type."""
        from onnx import TensorProto

        for info in self.model([value]).graph.output:
            tensor = info.type.tensor_type
            sizes = tuple(d.dim_value for d in tensor.shape.dim)
            if tensor.elem_type == TensorProto.FLOAT and tensor.HasField("shape") and all(sizes):
                return sizes
        return None
