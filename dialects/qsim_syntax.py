"""The pretty form of the ``qsim`` operations: a quantizer as a row of clauses.

::

    qsim.quantizer @x : i8<-127:127> symmetric per_axis(0) scale([0.5, 0.25]) observe(percentile, p = 99.99)
    qsim.quantizer @b : i32 symmetric product(@x, @w) axis(0)

Each clause says one attribute, or a few that belong together. An attribute that its clause cannot say exactly (another
type than the usual one, a value without a decimal spelling) stays in the dictionary at the end, so nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qir.ir.attributes import (
    ArrayAttr,
    Attribute,
    DenseArrayAttr,
    DenseAttr,
    DictAttr,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    SymbolRefAttr,
    TensorAttr,
    UnitAttr,
    bare_or_quoted,
    bool_attr,
    dense_from_numpy,
    dictionary,
    float_text,
    integer_array,
)
from qir.ir.core import Operation
from qir.ir.types import FloatType, FunctionType, TensorType, Type, f32, f64, i1, i32, i64

if TYPE_CHECKING:
    from qir.text.clauses import ClauseReader, ClauseWriter
    from qir.text.values import Argument, Call

__all__ = ["edge_from_clauses", "edge_to_clauses", "quantizer_from_clauses", "quantizer_to_clauses"]

_STORAGE = re.compile(r"([A-Za-z]\w*)\s*(?:<\s*([^:<>]+?)\s*:\s*([^:<>]+?)\s*>)?\Z")
_INTEGER = re.compile(r"-?\d{1,18}\Z")
_DECIMAL = re.compile(r"-?\d+\.\d*(?:[eE][-+]?\d+)?\Z")
_WORD = re.compile(r"[A-Za-z_]\w*\Z")
_FLAGS = ("dynamic", "zero_inside", "train")
_TENSORS: dict[str, Type] = {"scale": f32, "zero": i32, "codebook": f64, "stats": f32, "offset": f32}


# ---------------------------------------------------------------- writing
def quantizer_to_clauses(op: Operation, writer: ClauseWriter) -> str | None:
    """The clauses of a quantizer; None where it has no name or storage to begin with."""
    attributes = op.attributes
    name, storage, symmetric = (attributes.get(k) for k in ("sym_name", "storage", "symmetric"))
    if not isinstance(name, StringAttr) or not isinstance(storage, StringAttr) or not _is_bool(symmetric):
        return None
    if not _WORD.match(storage.value) or op.operands or op.results:
        return None
    said = {"sym_name", "storage", "symmetric"}
    words: list[str] = []

    def say(text: str, *keys: str) -> None:
        words.append(text)
        said.update(keys)

    low, high = _bound(attributes.get("qmin")), _bound(attributes.get("qmax"))
    bounds = ""
    if low is not None and high is not None:
        bounds = f"<{low}:{high}>"
        said.update(("qmin", "qmax"))
    _say_granularity(attributes, say)
    _say_scale(attributes, say)
    rounding, seed = attributes.get("rounding"), attributes.get("seed")
    if isinstance(rounding, StringAttr) and _WORD.match(rounding.value):
        number = _integer(seed)
        if number is None:
            say(f"round({rounding.value})", "rounding")
        else:
            say(f"round({rounding.value}, seed = {number})", "rounding", "seed")
    if attributes.get("saturate") == bool_attr(False):
        say("wrap", "saturate")
    for flag in _FLAGS[:2]:
        if isinstance(attributes.get(flag), UnitAttr):
            say(flag, flag)
    _say_observe(attributes.get("observe"), say)
    lo, hi = attributes.get("lo"), attributes.get("hi")
    if isinstance(lo, TensorAttr) and isinstance(hi, TensorAttr):
        say(f"range({_tensor_text(lo, f32, writer)}, {_tensor_text(hi, f32, writer)})", "lo", "hi")
    for key, element in _TENSORS.items():
        value = attributes.get(key)
        if isinstance(value, TensorAttr):
            say(f"{key}({_tensor_text(value, element, writer)})", key)
    if isinstance(attributes.get("train"), UnitAttr):
        say("train", "train")
    head = f"@{bare_or_quoted(name.value)} : {storage.value}{bounds}"
    kind = "symmetric" if isinstance(symmetric, IntegerAttr) and symmetric.value else "affine"
    return f"{' '.join((head, kind, *words))}{writer.attributes(*said)}"


def _say_granularity(attributes: dict[str, Attribute], say: Any) -> None:
    axes, sizes, rest = (attributes.get(k) for k in ("block_axes", "block_sizes", "block_rest"))
    tail = attributes.get("tail")
    if axes is None and sizes is None and rest is None:
        if "product" not in attributes:
            say("per_tensor")
    else:
        pairs = _block_pairs(axes, sizes)
        number = 0 if rest is None else _integer(rest)
        # Only what the constructor of a scheme would leave behind: no zero rest, no empty lists.
        if pairs is not None and number in (0, 1) and (rest is None or number == 1):
            keys = [k for k in ("block_rest", "block_axes", "block_sizes") if k in attributes]
            if len(pairs) == 1 and pairs[0][1] == 1 and not number:
                say(f"per_axis({pairs[0][0]})", *keys)
            elif pairs == [(-1, 0)] and number:
                say("per_token", *keys)
            else:
                entries = (["...: 1"] if number else []) + [f"{a}: {s or 'whole'}" for a, s in pairs]
                say(f"block({{{', '.join(entries)}}})", *keys)
    if isinstance(tail, StringAttr) and _WORD.match(tail.value):
        say(f"tail({tail.value})", "tail")


def _block_pairs(axes: Attribute | None, sizes: Attribute | None) -> list[tuple[int, int]] | None:
    if axes is None and sizes is None:
        return []
    if not isinstance(axes, DenseArrayAttr) or not isinstance(sizes, DenseArrayAttr):
        return None
    if axes.element != i64 or sizes.element != i64 or len(axes.values) != len(sizes.values) or not axes.values:
        return None
    if len(set(axes.values)) != len(axes.values) or any(abs(v) > 10**8 for v in (*axes.values, *sizes.values)):
        return None
    return None if any(s < 0 for s in sizes.values) else list(zip(axes.values, sizes.values, strict=True))


def _say_scale(attributes: dict[str, Attribute], say: Any) -> None:
    product = attributes.get("product")
    if isinstance(product, ArrayAttr) and len(product.values) == 2 and all(map(_plain_symbol, product.values)):
        say(f"product({', '.join(map(str, product.values))})", "product")
        axis = _integer(attributes.get("product_axis"))
        if axis is not None:
            say(f"axis({axis})", "product_axis")
        factor = _bound(attributes.get("factor"))
        if factor is not None and "." in factor:
            say(f"factor({factor})", "factor")
    pow2 = attributes.get("pow2")
    if isinstance(pow2, StringAttr) and _WORD.match(pow2.value):
        say(f"pow2({pow2.value})", "pow2")
    for key in ("scale_by", "zero_by"):
        value = attributes.get(key)
        if _plain_symbol(value):
            say(f"{key}({value})", key)


def _say_observe(observe: Attribute | None, say: Any) -> None:
    method = observe.get("method") if isinstance(observe, DictAttr) else None
    if not isinstance(observe, DictAttr) or not isinstance(method, StringAttr) or not _WORD.match(method.value):
        return
    parts = [method.value]
    for key, value in observe.entries:
        if key == "method":
            continue
        text = _bound(value)
        if text is None and _is_bool(value):
            text = str(value)
        if text is None and isinstance(value, StringAttr):
            text = str(value)
        if text is None or not _WORD.match(key):
            return
        parts.append(f"{key} = {text}")
    say(f"observe({', '.join(parts)})", "observe")


def _tensor_text(value: TensorAttr, element: Type, writer: ClauseWriter) -> str:
    """A short tensor of the usual element type as numbers, any other as an attribute."""
    if isinstance(value, DenseAttr) and value.type.element == element and value.type.encoding is None:
        shape = value.type.shape or ()
        if 0 not in shape and value.type.count <= 64 and (not value.is_splat or value.type.count <= 16):
            text = DenseAttr(value.type, value.data if not value.is_splat else _unsplat(value)).literal()
            if "0x" not in text:
                return text
    return writer.attribute(value)


def _unsplat(value: DenseAttr) -> bytes:
    return value.data * value.type.count


def _bound(value: Attribute | None) -> str | None:
    """An i64 or f64 number in the spelling that reads back to it."""
    number = _integer(value)
    if number is not None:
        return str(number)
    if isinstance(value, FloatAttr) and value.type == f64:
        text = float_text(value.bits, f64)
        return None if "x" in text else text
    return None


def _integer(value: Attribute | None) -> int | None:
    return value.value if isinstance(value, IntegerAttr) and value.type == i64 else None


def _is_bool(value: Attribute | None) -> bool:
    return isinstance(value, IntegerAttr) and value.type == i1


def _plain_symbol(value: Attribute | None) -> bool:
    return isinstance(value, SymbolRefAttr) and not value.nested


# ---------------------------------------------------------------- reading
def quantizer_from_clauses(cls: type[Operation], clauses: ClauseReader) -> Operation:
    """The quantizer that a row of clauses says, in any order after the storage. Raises QirError."""
    out: dict[str, Attribute] = {"sym_name": StringAttr(clauses.symbol())}
    text = clauses.type_text()
    match = _STORAGE.match(text)
    if match is None:
        clauses.fail(f"'{text}' is no storage", "write i8, u4, f8E4M3FN, or with a range i8<-127:127>")
    out["storage"] = StringAttr(match.group(1))
    if match.group(2) is not None:
        for key, bound in (("qmin", match.group(2)), ("qmax", match.group(3))):
            if _INTEGER.match(bound):
                out[key] = IntegerAttr(int(bound))
            elif _DECIMAL.match(bound):
                out[key] = FloatAttr.of(float(bound), f64)
            else:
                clauses.fail(f"'{bound}' in the range of '{text}' is no number")
    seen: set[str] = set()
    while True:
        word = clauses.word()
        call = None if word is not None else clauses.call()
        name = word if word is not None else call.name if call is not None else None
        if name is None:
            break
        group = _GROUPS.get(name)
        if group is None or (call is None) != (name in _WORDS):
            clauses.fail(
                f"a quantizer has no clause '{name}{'(…)' if call is not None else ''}'",
                f"the clauses are {', '.join(sorted(_GROUPS))}",
                at=clauses.last,
            )
        if group in seen:
            clauses.fail(f"a quantizer has one of these clauses: a second one is '{name}'", at=clauses.last)
        seen.add(group)
        if call is None:
            _read_word(name, out)
        else:
            _read_call(call, out, clauses)
    if "symmetric" not in out:
        clauses.fail("a quantizer is 'symmetric' or 'affine'", "say one of the two after the storage")
    given = clauses.attributes()
    twice = sorted(given.keys() & out.keys())
    if twice:
        clauses.fail(f"the attribute '{twice[0]}' is already said by a clause")
    return cls.create((), (), {**out, **given})


_WORDS = frozenset({"symmetric", "affine", "per_tensor", "per_token", "wrap", *_FLAGS})
_GROUPS = {
    "symmetric": "zero point",
    "affine": "zero point",
    "per_tensor": "granularity",
    "per_token": "granularity",
    "per_axis": "granularity",
    "block": "granularity",
    **{
        w: w
        for w in (
            "tail",
            "product",
            "axis",
            "factor",
            "pow2",
            "scale_by",
            "zero_by",
            "round",
            "wrap",
            "observe",
            "range",
        )
    },
    **{w: w for w in (*_FLAGS, *_TENSORS)},
}


def _read_word(word: str, out: dict[str, Attribute]) -> None:
    if word in ("symmetric", "affine"):
        out["symmetric"] = bool_attr(word == "symmetric")
    elif word == "per_token":
        out.update(block_axes=integer_array([-1]), block_sizes=integer_array([0]), block_rest=IntegerAttr(1))
    elif word == "wrap":
        out["saturate"] = bool_attr(False)
    elif word != "per_tensor":
        out[word] = UnitAttr()


def _read_call(call: Call, out: dict[str, Attribute], clauses: ClauseReader) -> None:
    name, arguments = call.name, call.arguments
    if name == "observe":
        out["observe"] = _read_observe(arguments, clauses)
        return
    if name == "round" and len(arguments) == 2 and arguments[1].key == "seed":
        out["seed"] = _number(arguments[1], clauses, whole=True)
        arguments = arguments[:1]
    count = 2 if name in ("product", "range") else 1
    if len(arguments) != count or any(a.key is not None for a in arguments):
        clauses.fail(f"{name}(…) takes {count} argument{'s' * (count > 1)}", at=clauses.last)
    first = arguments[0]
    if name == "per_axis":
        out.update(block_axes=integer_array([_whole(first, clauses)]), block_sizes=integer_array([1]))
    elif name == "block":
        _read_block(first, out, clauses)
    elif name in ("tail", "pow2", "round"):
        out["rounding" if name == "round" else name] = StringAttr(_word(first, clauses))
    elif name == "product":
        out["product"] = ArrayAttr(tuple(_symbol(a, clauses) for a in arguments))
    elif name in ("scale_by", "zero_by"):
        out[name] = _symbol(first, clauses)
    elif name == "axis":
        out["product_axis"] = _number(first, clauses, whole=True)
    elif name == "factor":
        out["factor"] = _number(first, clauses, whole=False)
    elif name == "range":
        out["lo"], out["hi"] = (_tensor(a, f32, clauses) for a in arguments)
    else:
        out[name] = _tensor(first, _TENSORS[name], clauses)


def _read_block(argument: Argument, out: dict[str, Attribute], clauses: ClauseReader) -> None:
    items = getattr(argument.value, "items", None)
    if items is None:
        clauses.fail("block(…) takes a map from axis to block size, as in block({0: 1, 1: 32})", at=argument.start)
    axes, sizes = [], []
    for axis, size in items:
        whole = getattr(size, "text", None) == "whole"
        number = 0 if whole else _integer(size if isinstance(size, Attribute) else None)
        if number is None:
            clauses.fail("a block size is a number, or whole", at=argument.start)
        if axis is not None:
            axes.append(axis)
            sizes.append(number)
        elif number:
            out["block_rest"] = IntegerAttr(number)
    if axes:
        out.update(block_axes=integer_array(axes), block_sizes=integer_array(sizes))


def _read_observe(arguments: Sequence[Argument], clauses: ClauseReader) -> Attribute:
    if not arguments or arguments[0].key is not None:
        clauses.fail("observe(…) begins with a method, as in observe(percentile, p = 99.99)", at=clauses.last)
    entries: dict[str, Attribute] = {"method": StringAttr(_word(arguments[0], clauses))}
    for argument in arguments[1:]:
        value = argument.value
        text = getattr(value, "text", None)
        if text in ("true", "false"):
            value = bool_attr(text == "true")
        if argument.key is None or not isinstance(value, Attribute):
            clauses.fail("the method's parameters are written key = value", at=argument.start)
        if argument.key in entries:
            clauses.fail(f"the parameter '{argument.key}' stands twice", at=argument.start)
        entries[argument.key] = value
    return dictionary(entries)


def _word(argument: Argument, clauses: ClauseReader) -> str:
    text = getattr(argument.value, "text", None)
    if text is None:
        clauses.fail("a word is expected here", at=argument.start)
    return str(text)


def _symbol(argument: Argument, clauses: ClauseReader) -> SymbolRefAttr:
    value = argument.value
    if not isinstance(value, SymbolRefAttr) or value.nested:
        clauses.fail("a quantizer's symbol (@name) is expected here", at=argument.start)
    return value


def _number(argument: Argument, clauses: ClauseReader, whole: bool) -> Attribute:
    value = argument.value
    if isinstance(value, IntegerAttr) and value.type == i64:
        return value if whole else FloatAttr.of(float(value.value), f64)
    if not whole and isinstance(value, FloatAttr):
        return value
    return clauses.fail("a whole number is expected here" if whole else "a number is expected here", at=argument.start)


def _whole(argument: Argument, clauses: ClauseReader) -> int:
    value = _number(argument, clauses, whole=True)
    return value.value if isinstance(value, IntegerAttr) else 0


def _tensor(argument: Argument, element: Type, clauses: ClauseReader) -> Attribute:
    """Numbers, nested as the tensor is, or a tensor attribute."""
    value = argument.value
    if isinstance(value, TensorAttr):
        return value
    shape: list[int] = []
    level: list[Any] = [value]
    while level and all(isinstance(v, ArrayAttr) for v in level):
        sizes = {len(v.values) for v in level}
        if len(sizes) != 1:
            clauses.fail("the lists here have different lengths", at=argument.start)
        shape.append(sizes.pop())
        level = [x for v in level for x in v.values]
    floats = isinstance(element, FloatType)
    numbers = []
    for number in level:
        if isinstance(number, IntegerAttr) and number.type == i64:
            numbers.append(float(number.value) if floats else number.value)
        elif floats and isinstance(number, FloatAttr) and number.type == f64:
            numbers.append(number.value)
        else:
            clauses.fail(f"numbers of type {element}, or a tensor, are expected here", at=argument.start)
    import numpy as np

    from qir.ir.tensors import numpy_dtype

    if not floats and any(abs(n) >= 1 << 31 for n in numbers):
        clauses.fail(f"a number here is not in the range of {element}", at=argument.start)
    with np.errstate(over="ignore"):
        array = np.array(numbers, np.float64 if floats else np.int64).astype(numpy_dtype(element)).reshape(shape)
    return dense_from_numpy(array, None, TensorType(tuple(shape), element))


# ---------------------------------------------------------------- edges
def edge_to_clauses(op: Operation, writer: ClauseWriter) -> str | None:
    """``%x by @q : t`` (one type), ``: t to u`` (two), else ``: (types) -> types``."""
    quantizer = op.attributes.get("quantizer")
    if not _plain_symbol(quantizer) or not op.operands:
        return None
    head = f"{writer.values(op.operands)} by {quantizer}{writer.attributes('quantizer')} : "
    types, results = tuple(v.type for v in op.operands), tuple(v.type for v in op.results)
    if len(types) == len(results) == 1:
        if op.name != "qsim.fake":
            return f"{head}{types[0]} to {results[0]}"
        return f"{head}{types[0]}" if types == results else None
    return f"{head}{FunctionType(types, results)}"


def edge_from_clauses(cls: type[Operation], clauses: ClauseReader) -> Operation:
    """Reads what `edge_to_clauses` writes."""
    names = clauses.names()
    clauses.expect("by")
    quantizer = SymbolRefAttr(clauses.symbol())
    attributes = {**clauses.attributes(), "quantizer": quantizer}
    if clauses.has_signature():
        type = clauses.signature()
        return cls.create(clauses.values(names, type.inputs), type.results, attributes)
    source = clauses.type()
    result = source if cls.name == "qsim.fake" else clauses.target()
    return cls.create(clauses.values(names, (source,)), (result,), attributes)
