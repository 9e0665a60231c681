"""The IR core: values, operations, types, attributes, definitions, symbols, diagnostics, verifier, context."""

from qir.ir.attributes import (
    INLINE_LIMIT,
    ArrayAttr,
    Attribute,
    DenseArrayAttr,
    DenseAttr,
    DenseResourceAttr,
    DenseStringAttr,
    DictAttr,
    FloatAttr,
    IntegerAttr,
    LocationAttr,
    OpaqueAttr,
    StringAttr,
    SymbolRefAttr,
    TensorAttr,
    TypeAttr,
    UnitAttr,
    attribute,
    bool_attr,
    dense_from_numpy,
    dictionary,
    integer_array,
    python_value,
)
from qir.ir.builder import Builder
from qir.ir.compare import difference, is_equal, same_data
from qir.ir.context import Context, Dialect, no_gc
from qir.ir.core import Block, BlockArgument, Operation, OpResult, Region, Trait, UnregisteredOp, Value
from qir.ir.definition import op_def
from qir.ir.diagnostics import Diagnostic, DiagnosticEngine, QirError, Severity, fail, render
from qir.ir.location import (
    UNKNOWN,
    CallSiteLoc,
    FileLineColLoc,
    FusedLoc,
    Location,
    NameLoc,
    Source,
    SourceLoc,
    UnknownLoc,
    fuse,
)
from qir.ir.symbols import SymbolTable, symbol_name, symbol_refs
from qir.ir.tensors import ArrayTensor, BytesTensor, FileTensor, Tensor
from qir.ir.types import (
    ComplexType,
    FloatType,
    FunctionType,
    IndexType,
    IntegerType,
    NoneType,
    OpaqueType,
    TensorType,
    TupleType,
    Type,
    bf16,
    f16,
    f32,
    f64,
    i1,
    i8,
    i16,
    i32,
    i64,
    index,
    none,
    tensor,
    ui8,
    ui16,
    ui32,
    ui64,
)
from qir.ir.verifier import Verifier, verify

__all__ = [name for name in dir() if not name.startswith("_")]
