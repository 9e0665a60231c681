"""ONNX models made by hand for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

node = helper.make_node


def info(name: str, shape: Sequence[Any] | None = (1, 3), element: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, shape)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto] | None = None,
    outputs: Sequence[onnx.ValueInfoProto] | None = None,
    initializers: Sequence[onnx.TensorProto] = (),
    opset: int = 17,
    **fields: Any,
) -> onnx.ModelProto:
    """A model from ``x`` to ``y``."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [info("x")] if inputs is None else inputs,
        [info("y", None)] if outputs is None else outputs,
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **fields)


def initializer(name: str, *values: float, shape: Sequence[int] | None = None) -> onnx.TensorProto:
    array = np.array(values, np.float32)
    return numpy_helper.from_array(array if shape is None else array.reshape(shape), name)


def relu() -> onnx.ModelProto:
    """The smallest model."""
    return model([node("Relu", ["x"], ["y"], "r")])


def rich() -> onnx.ModelProto:
    """A model that sets every field that ONNX has, sensible or not."""
    m = model([], [], [])
    m.ir_version = 12
    m.producer_name, m.producer_version, m.domain, m.model_version = "test", "", "org.example", 0
    m.doc_string = 'doc\n"quoted" é\\'
    del m.opset_import[:]
    m.opset_import.add(domain="zz.custom", version=3)
    m.opset_import.add(version=20)
    m.opset_import.add(domain="ai.onnx.ml", version=3)
    m.metadata_props.add(key="b", value="1")
    m.metadata_props.add(key="a", value="")
    m.configuration.add(name="two", num_devices=2, device=["cpu", "gpu"])
    graph = m.graph
    graph.name = "the graph"
    graph.doc_string = ""
    graph.metadata_props.add(key="k", value="v")
    x = graph.input.add(name="x")
    x.type.tensor_type.elem_type = TensorProto.FLOAT
    x.type.denotation = "IMAGE"
    for size, name, denotation in ((None, "N", "DATA_BATCH"), (3, "", "DATA_CHANNEL"), (None, "", ""), (0, "", "")):
        dim = x.type.tensor_type.shape.dim.add()
        if size is not None:
            dim.dim_value = size
        if name:
            dim.dim_param = name
        if denotation:
            dim.denotation = denotation
    x.doc_string = "an input"
    x.metadata_props.add(key="m", value="1")
    graph.input.add(name="untyped")
    graph.input.append(
        helper.make_value_info("seq", helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, ["a"])))
    )
    graph.input.append(
        helper.make_value_info("maybe", helper.make_optional_type_proto(helper.make_tensor_type_proto(7, None)))
    )
    graph.input.append(
        helper.make_value_info(
            "map", helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(1, [2]))
        )
    )
    sparse_input = graph.input.add(name="sparse_in")
    sparse_input.type.sparse_tensor_type.elem_type = TensorProto.FLOAT
    sparse_input.type.sparse_tensor_type.shape.dim.add().dim_value = 4
    opaque = graph.input.add(name="opaque")
    opaque.type.opaque_type.domain, opaque.type.opaque_type.name = "com.x", "Thing"
    graph.input.append(info("w", [2]))
    graph.initializer.append(initializer("w", 1.0, -0.0))
    graph.initializer[0].doc_string = "weights"
    graph.initializer[0].metadata_props.add(key="z", value="y")
    graph.initializer.append(numpy_helper.from_array(np.array([b"a", b"\xff", b""], object), "texts"))
    values = numpy_helper.from_array(np.array([1.0, 2.0], np.float32), "sparse_w")
    indices = numpy_helper.from_array(np.array([0, 3], np.int64), "")
    graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    first = node("Identity", ["x"], ["x1"], "first", doc_string="says something")
    first.metadata_props.add(key="pkg.stack", value="line 1\nline 2")
    shard = first.device_configurations.add(configuration_id="two", pipeline_stage=1).sharding_spec.add(tensor_name="x")
    shard.device.extend([0, 1])
    custom = onnx.NodeProto(op_type="Odd.Op", domain="zz.custom", input=["x1", "", "w"], output=["c0", "", "c1"])
    custom.overload = "v2"
    custom.attribute.extend(
        [
            helper.make_attribute("i", -5),
            helper.make_attribute("f", 0.1),
            helper.make_attribute("s", b"\x00\xff bytes"),
            helper.make_attribute("ints", [1, 2]),
            helper.make_attribute("floats", [0.5, float("inf"), float("-inf"), -0.0]),
            helper.make_attribute("strings", ["a", "b"]),
            helper.make_attribute("t", initializer("named", 1.0, 2.0), doc_string="a tensor"),
            AttributeProto(name="no_ints", type=AttributeProto.INTS),
            AttributeProto(name="no_floats", type=AttributeProto.FLOATS),
            AttributeProto(name="no_strings", type=AttributeProto.STRINGS),
            AttributeProto(name="unset_i", type=AttributeProto.INT),
            AttributeProto(name="unset_f", type=AttributeProto.FLOAT),
            AttributeProto(name="unset_s", type=AttributeProto.STRING),
            AttributeProto(name="unset_t", type=AttributeProto.TENSOR),
            AttributeProto(name="unset_g", type=AttributeProto.GRAPH),
            AttributeProto(name="untyped"),
            AttributeProto(
                name="tensors", type=AttributeProto.TENSORS, tensors=[initializer("", 1.0), initializer("n", 2.0)]
            ),
            AttributeProto(
                name="types", type=AttributeProto.TYPE_PROTOS, type_protos=[helper.make_tensor_type_proto(1, ["q"])]
            ),
            AttributeProto(name="type", type=AttributeProto.TYPE_PROTO, tp=helper.make_tensor_type_proto(1, [1, None])),
            AttributeProto(
                name="named_type", type=AttributeProto.TYPE_PROTO, tp=helper.make_tensor_type_proto(1, ["N"])
            ),
            helper.make_attribute("sparse", graph.sparse_initializer[0]),
            helper.make_attribute("sparse_list", [graph.sparse_initializer[0]]),
            helper.make_attribute("onnx.name", "an attribute with a dot"),
            helper.make_attribute("graphs", [inner("x1", "one"), inner("w", "two")]),
            helper.make_attribute("g", inner("x1", "three")),
        ]
    )
    aliased = node("Relu", ["c0"], ["r"], "", domain="ai.onnx")
    forms = [
        node("Constant", [], ["k_float"], value_float=0.25),
        node("Constant", [], ["k_floats"], value_floats=[1.0, 2.0]),
        node("Constant", [], ["k_int"], value_int=7),
        node("Constant", [], ["k_ints"], value_ints=[1, 2, 3]),
        node("Constant", [], ["k_string"], value_string="s"),
        node("Constant", [], ["k_strings"], value_strings=["s", "t"]),
        node("Constant", [], ["k_sparse"], sparse_value=graph.sparse_initializer[0]),
        node("Constant", [], ["k_tensor"], value=initializer("t", *range(20))),
    ]
    call = node("F", ["r"], ["y"], "call", domain="zz.fun", alpha=1.0)
    ml = node("Binarizer", ["r"], ["z"], "bin", domain="ai.onnx.ml", threshold=0.5)
    reserved = node("X", ["r"], ["v"], domain="func")
    graph.node.extend([first, custom, aliased, *forms, call, ml, reserved])
    graph.value_info.extend(
        [info("r", ["N", 3]), info("k_float", []), info("ghost", [1]), info("x1", [1]), info("x1", [2])]
    )
    graph.value_info[0].doc_string = "the relu"
    graph.value_info.add(name="k_int")
    graph.value_info.add(name="v").type.denotation = "only a denotation"
    graph.output.extend(
        [info("y", ["N"]), info("z", None), info("x", None), info("w", ["M"]), info("v", None), info("y", ["N"])]
    )
    graph.output[1].doc_string = "second"
    annotation = graph.quantization_annotation.add(tensor_name="r")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="w")
    m.functions.append(function())
    m.training_info.add().algorithm.CopyFrom(inner("x", "training"))
    return m


def inner(outer: str, name: str) -> onnx.GraphProto:
    """A graph that reads a value from outside."""
    body = helper.make_graph(
        [node("Add", [outer, f"{name}_w"], [f"{name}_o"], f"{name}_add")],
        name,
        [info(f"{name}_in", ["K"])],
        [info(f"{name}_o", None)],
        [initializer(f"{name}_w", 1.0)],
        doc_string="inside",
    )
    body.value_info.append(info("nowhere"))
    return body


def function() -> onnx.FunctionProto:
    """A model's function with attributes that its nodes refer to."""
    refers = node("LeakyRelu", ["a"], ["b"], "lr")
    refers.attribute.add(name="alpha", ref_attr_name="alpha", type=AttributeProto.FLOAT)
    constant = node("Constant", [], ["k"])
    constant.attribute.add(name="value_float", ref_attr_name="beta", type=AttributeProto.FLOAT)
    found = helper.make_function(
        "zz.fun",
        "F",
        ["a"],
        ["c"],
        [refers, constant, node("Mul", ["b", "k"], ["c"], "mul")],
        [helper.make_opsetid("", 18)],
        attributes=["alpha"],
        attribute_protos=[helper.make_attribute("beta", 2.0)],
        doc_string="a function",
        overload="o",
    )
    found.value_info.append(info("b", [2]))
    found.metadata_props.add(key="f", value="g")
    return found


def sort_attributes(m: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each node's attributes sorted, and the lists whose order means nothing."""

    def nodes(found: Any) -> None:
        for n in found:
            kept = sorted(n.attribute, key=lambda a: a.name)
            for a in kept:
                for g in [a.g] if a.type == AttributeProto.GRAPH else a.graphs:
                    graph(g)
            del n.attribute[:]
            n.attribute.extend(kept)

    def graph(g: onnx.GraphProto) -> None:
        for field in (g.initializer, g.value_info):
            kept = sorted(field, key=lambda v: (v.name, v.SerializeToString()))
            del field[:]
            field.extend(kept)
        nodes(g.node)

    graph(m.graph)
    for f in m.functions:
        nodes(f.node)
    for t in m.training_info:
        graph(t.algorithm)
    return m


def first_difference(a: Any, b: Any, where: str = "model") -> str | None:
    """The path of the first field in which two messages differ."""
    if a == b:
        return None
    if not hasattr(a, "ListFields"):
        return f"{where}: {a!r} against {b!r}"
    for name in sorted({f.name for f, _ in [*a.ListFields(), *b.ListFields()]}):
        x, y = getattr(a, name), getattr(b, name)
        if hasattr(x, "__len__") and not isinstance(x, (str, bytes)):
            if len(x) != len(y):
                return f"{where}.{name}: {len(x)} against {len(y)}"
            pairs = list(zip(x, y, strict=True))
        else:
            pairs = [(x, y)]
            if a.HasField(name) != b.HasField(name):
                return f"{where}.{name}: set on one side"
        for i, (p, q) in enumerate(pairs):
            if p != q:
                return first_difference(p, q, f"{where}.{name}[{i}]")
    return where
