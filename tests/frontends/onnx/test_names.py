"""Names in exported graphs with graphs inside them."""

import onnx

from qir.frontends.onnx import export_onnx
from qir.ir import Context
from qir.text import parse_module

MODULE = """module attributes {onnx.opset = {ai.onnx = 16 : i64}} {
  func.func @main(%x: tensor<3xf32>, %c: tensor<i1>) -> tensor<3xf32> {
    %0 = onnx.Abs(%x) : (tensor<3xf32>) -> tensor<3xf32> loc("node")
    %y = onnx.If(%c) ({
      %1 = onnx.Abs(%0) : (tensor<3xf32>) -> tensor<3xf32> loc("node")
      %2 = onnx.Neg(%1) : (tensor<3xf32>) -> tensor<3xf32> loc("node")
      onnx.Yield(%2) {onnx.name = "branch"} : (tensor<3xf32>) -> ()
    }, {
      %1 = onnx.Neg(%x) : (tensor<3xf32>) -> tensor<3xf32> loc("node")
      %2 = onnx.Abs(%1) : (tensor<3xf32>) -> tensor<3xf32> loc("node")
      onnx.Yield(%2) {onnx.name = "branch"} : (tensor<3xf32>) -> ()
    }) : (tensor<i1>) -> tensor<3xf32>
    %3 = onnx.Abs(%0) : (tensor<3xf32>) -> tensor<3xf32> loc("node")
    %z = onnx.Add(%y, %3) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    return %z : tensor<3xf32>
  }
}"""


def test_made_up_names_do_not_shadow_those_of_graphs_around():
    model = export_onnx(parse_module(MODULE, Context(), "-"))
    onnx.checker.check_model(model, full_check=True)
    branches = [a.g for n in model.graph.node for a in n.attribute if n.op_type == "If"]
    outer = {o for n in model.graph.node for o in n.output}
    for branch in branches:
        assert not outer & {o for n in branch.node for o in n.output}
