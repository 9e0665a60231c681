"""A small dialect and a builder of functions over it, for tests of the rewriter."""

from __future__ import annotations

from qir.dialects.builtin import empty_module
from qir.dialects.func import ReturnOp, make_func
from qir.ir import Context, Dialect, NameLoc, Operation, Trait, Value, dense_from_numpy, f32, none, op_def, tensor
from qir.ir.definition import (
    ANY,
    INT,
    INTS,
    SYMBOL,
    TENSOR,
    attr,
    operand,
    optional_attr,
    result,
    variadic_operand,
    variadic_result,
)

T = tensor([2, 2], f32)


@op_def("onnx.Relu", Trait.PURE | Trait.ELEMENTWISE)
class Relu(Operation):
    x = operand(ANY)
    y = result(ANY)
    mode = attr(INT, default=0)


@op_def("onnx.Neg", Trait.PURE)
class Neg(Operation):
    x = operand(ANY)
    y = result(ANY)


@op_def("onnx.Add", Trait.PURE | Trait.COMMUTATIVE)
class Add(Operation):
    a = operand(ANY)
    b = operand(ANY)
    y = result(ANY)


@op_def("onnx.Mul", Trait.PURE | Trait.COMMUTATIVE)
class Mul(Operation):
    a = operand(ANY)
    b = operand(ANY)
    y = result(ANY)


@op_def("onnx.Sub", Trait.PURE)
class Sub(Operation):
    a = operand(ANY)
    b = operand(ANY)
    y = result(ANY)


@op_def("onnx.Conv", Trait.PURE)
class Conv(Operation):
    xs = variadic_operand(ANY)
    y = result(ANY)
    strides = optional_attr(INTS)
    group = attr(INT, default=1)


@op_def("onnx.Concat", Trait.PURE)
class Concat(Operation):
    xs = variadic_operand(ANY)
    y = result(ANY)


@op_def("onnx.Split", Trait.PURE)
class Split(Operation):
    x = operand(ANY)
    ys = variadic_result(ANY)


@op_def("onnx.Print")
class Print(Operation):
    x = operand(ANY)


@op_def("onnx.Constant", Trait.PURE | Trait.CONSTANT_LIKE)
class Constant(Operation):
    value = attr(TENSOR)
    y = result(ANY)


@op_def("onnx.NoValue", Trait.PURE)
class NoValue(Operation):
    y = result(ANY)


@op_def("qsim.fake", Trait.PURE)
class Fake(Operation):
    x = operand(ANY)
    quantizer = attr(SYMBOL)
    y = result(ANY)


OPS = [Relu, Neg, Add, Mul, Sub, Conv, Concat, Split, Print, Constant, NoValue, Fake]


def context() -> Context:
    """A context whose ``onnx`` and ``qsim`` dialects are the toy ones."""
    ctx = Context()
    ctx.register_dialect(Dialect("onnx", [op for op in OPS if op.name.startswith("onnx")]))
    ctx.register_dialect(Dialect("qsim", [op for op in OPS if op.name.startswith("qsim")]))
    return ctx


class Graph:
    """Builds ``@main`` operation by operation; each is located at its name and a number."""

    def __init__(self, ctx: Context, inputs: int = 1) -> None:
        self.ctx = ctx
        self.module = empty_module("m")
        self.func = make_func("main", [T] * inputs)
        self.module.body.append(self.func)
        self.args: list[Value] = list(self.func.body.args)
        self.count = 0

    def op(self, name: str, *operands: Value, results: int = 1, **attributes: object) -> Value:
        made = self.build(name, *operands, results=results, **attributes)
        return made.results[0] if made.results else None  # type: ignore[return-value]

    def build(self, name: str, *operands: Value, results: int = 1, **attributes: object) -> Operation:
        cls = self.ctx.op_class(f"{'qsim' if name == 'fake' else 'onnx'}.{name}")
        fields = cls.definition.attributes
        encoded = {k: fields[k].kind.encode(v) for k, v in attributes.items()}
        made = cls.create(operands, [T] * results, encoded, location=NameLoc(f"{name.lower()}{self.count}"))
        self.count += 1
        self.func.body.append(made)
        return made

    def const(self, array) -> Value:
        held = dense_from_numpy(array)
        made = Constant.create((), [held.type], {"value": held}, location=NameLoc(f"const{self.count}"))
        self.count += 1
        self.func.body.append(made)
        return made.result

    def absent(self) -> Value:
        made = NoValue.create((), [none])
        self.func.body.append(made)
        return made.result

    def done(self, *values: Value):
        self.func.body.append(ReturnOp.create(values))
        self.func.update_type()
        return self.module

    @property
    def names(self) -> list[str]:
        return [op.name.partition(".")[2] for op in self.func.body if op.name != "func.return"]
