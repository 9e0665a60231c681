"""What the interpreter runs for the ``onnxruntime`` dialect: the kernels of the operators that its NodeProtos are."""

from __future__ import annotations

from qir.interpreter.node import Node
from qir.interpreter.registry import Factory, Kernel, find_kernel, kernel
from qir.lowering.onnxruntime.dialect import CONTRIBUTED, MICROSOFT, STANDARD


def _operator(name: str) -> Factory:
    def build(node: Node) -> Kernel:
        """Operands and attributes are the operator's."""
        entry = find_kernel(name, node.opset)
        assert entry is not None
        return entry.build(node)

    return build


for _domain, _names in (("onnx", STANDARD), (MICROSOFT, CONTRIBUTED)):
    for _name in _names:
        kernel(f"onnxruntime.{_name}", fresh=True)(_operator(f"{_domain}.{_name}"))
