# ruff: noqa: E501, E743, I001
"""ONNX's operators, generated from onnx 1.23.2 by ``python -m qir.dialects.onnx_stub``."""

from collections.abc import Sequence
from typing import Any

from qir.dialects.onnx_ops import (
    DIALECT as DIALECT,
    DIALECT_AI as DIALECT_AI,
    NoValue as NoValue,
    OnnxDefinition as OnnxDefinition,
    OnnxOp as OnnxOp,
    Yield as Yield,
    domain_and_type as domain_and_type,
    op_class as op_class,
    op_name as op_name,
    opset_of as opset_of,
    opsets as opsets,
    region_names as region_names,
    similar as similar,
)
from qir.dialects.onnx_types import STRING as STRING, UNKNOWN_TYPE as UNKNOWN_TYPE
from qir.ir.attributes import TensorAttr
from qir.ir.core import Operation, Region, Value
from qir.ir.location import Location
from qir.ir.types import Type

class Abs(OnnxOp):
    """Absolute takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where absolute value, y =
    abs(x), is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Abs: ...

class Acos(OnnxOp):
    """Calculates the arccosine (inverse of cosine) of the given input tensor, element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Acos: ...

class Acosh(OnnxOp):
    """Calculates the hyperbolic arccosine of the given input tensor element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Acosh: ...

class Add(OnnxOp):
    """Performs element-wise binary addition (with Numpy-style broadcasting support)."""

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Add: ...

class AffineGrid(OnnxOp):
    """Generates a 2D or 3D flow field (sampling grid), given a batch of affine matrices theta
    (https://pytorch.org/docs/stable/generated/torch.nn.functional.affine_grid.html).
    """

    @property
    def theta(self) -> Value: ...
    @property
    def size(self) -> Value: ...
    align_corners: int
    @classmethod
    def build(  # type: ignore[override]
        cls, theta: Value, size: Value, /, *, align_corners: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> AffineGrid: ...

class And(OnnxOp):
    """Returns the tensor resulted from performing the `and` logical operation elementwise on the input tensors `A` and
    `B` (with Numpy-style broadcasting support).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> And: ...

class ArgMax(OnnxOp):
    """Computes the indices of the max elements of the input tensor's element along the provided axis."""

    @property
    def data(self) -> Value: ...
    axis: int
    keepdims: int
    select_last_index: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, /, *, axis: int | None = ..., keepdims: int | None = ...,
        select_last_index: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ArgMax: ...

class ArgMin(OnnxOp):
    """Computes the indices of the min elements of the input tensor's element along the provided axis."""

    @property
    def data(self) -> Value: ...
    axis: int
    keepdims: int
    select_last_index: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, /, *, axis: int | None = ..., keepdims: int | None = ...,
        select_last_index: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ArgMin: ...

class Asin(OnnxOp):
    """Calculates the arcsine (inverse of sine) of the given input tensor, element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Asin: ...

class Asinh(OnnxOp):
    """Calculates the hyperbolic arcsine of the given input tensor element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Asinh: ...

class Atan(OnnxOp):
    """Calculates the arctangent (inverse of tangent) of the given input tensor, element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Atan: ...

class Atanh(OnnxOp):
    """Calculates the hyperbolic arctangent of the given input tensor element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Atanh: ...

class Attention(OnnxOp):
    """Computes scaled dot product attention on query, key and value tensors, using an optional attention mask if
    passed.
    """

    @property
    def Q(self) -> Value: ...
    @property
    def K(self) -> Value: ...
    @property
    def V(self) -> Value: ...
    @property
    def attn_mask(self) -> Value | None: ...
    @property
    def past_key(self) -> Value | None: ...
    @property
    def past_value(self) -> Value | None: ...
    @property
    def nonpad_kv_seqlen(self) -> Value | None: ...
    is_causal: int
    kv_num_heads: int | None
    left_window_size: int
    q_num_heads: int | None
    qk_matmul_output_mode: int
    right_window_size: int
    scale: float | None
    softcap: float
    softmax_precision: int | None
    @classmethod
    def build(  # type: ignore[override]
        cls, Q: Value, K: Value, V: Value, attn_mask: Value | None = ..., past_key: Value | None = ...,
        past_value: Value | None = ..., nonpad_kv_seqlen: Value | None = ..., /, *, is_causal: int | None = ...,
        kv_num_heads: int | None = ..., left_window_size: int | None = ..., q_num_heads: int | None = ...,
        qk_matmul_output_mode: int | None = ..., right_window_size: int | None = ..., scale: float | None = ...,
        softcap: float | None = ..., softmax_precision: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Attention: ...

class AveragePool(OnnxOp):
    """AveragePool consumes an input tensor X and applies average pooling across the tensor according to kernel sizes,
    stride sizes, and pad lengths.
    """

    @property
    def X(self) -> Value: ...
    auto_pad: str
    ceil_mode: int
    count_include_pad: int
    dilations: tuple[int, ...] | None
    kernel_shape: tuple[int, ...]
    pads: tuple[int, ...] | None
    strides: tuple[int, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, auto_pad: str | None = ..., ceil_mode: int | None = ...,
        count_include_pad: int | None = ..., dilations: Sequence[int] | None = ..., kernel_shape: Sequence[int],
        pads: Sequence[int] | None = ..., strides: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> AveragePool: ...

class BatchNormalization(OnnxOp):
    """Carries out batch normalization as described in the paper https://arxiv.org/abs/1502.03167. Depending on the
    mode it is being run, There are five required inputs 'X', 'scale', 'B', 'input_mean' and 'input_var'. Note that
    'input_mean' and 'input_var' are expected to be the estimated statistics in inference mode (training_mode=False,
    default), and the running statistics in training mode ....
    """

    @property
    def X(self) -> Value: ...
    @property
    def scale(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @property
    def input_mean(self) -> Value: ...
    @property
    def input_var(self) -> Value: ...
    epsilon: float
    momentum: float
    training_mode: int
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, scale: Value, B: Value, input_mean: Value, input_var: Value, /, *, epsilon: float | None = ...,
        momentum: float | None = ..., training_mode: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> BatchNormalization: ...

class Bernoulli(OnnxOp):
    """Draws binary random numbers (0 or 1) from a Bernoulli distribution."""

    @property
    def input(self) -> Value: ...
    dtype: int | None
    seed: float | None
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, dtype: int | None = ..., seed: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Bernoulli: ...

class BitCast(OnnxOp):
    """Reinterprets the binary representation of a tensor as a different data type, specified by the 'to' attribute."""

    @property
    def input(self) -> Value: ...
    to: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, to: int,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> BitCast: ...

class BitShift(OnnxOp):
    """Bitwise shift operator performs element-wise operation."""

    @property
    def X(self) -> Value: ...
    @property
    def Y(self) -> Value: ...
    direction: str
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, Y: Value, /, *, direction: str,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> BitShift: ...

class BitwiseAnd(OnnxOp):
    """Returns the tensor resulting from performing the bitwise `and` operation elementwise on the input tensors `A`
    and `B` (with Numpy-style broadcasting support).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> BitwiseAnd: ...

class BitwiseNot(OnnxOp):
    """Returns the bitwise not of the input tensor element-wise."""

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> BitwiseNot: ...

class BitwiseOr(OnnxOp):
    """Returns the tensor resulting from performing the bitwise `or` operation elementwise on the input tensors `A` and
    `B` (with Numpy-style broadcasting support).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> BitwiseOr: ...

class BitwiseXor(OnnxOp):
    """Returns the tensor resulting from performing the bitwise `xor` operation elementwise on the input tensors `A`
    and `B` (with Numpy-style broadcasting support).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> BitwiseXor: ...

class BlackmanWindow(OnnxOp):
    """Generates a Blackman window as described in the paper https://ieeexplore.ieee.org/document/1455106."""

    @property
    def size(self) -> Value: ...
    output_datatype: int
    periodic: int
    @classmethod
    def build(  # type: ignore[override]
        cls, size: Value, /, *, output_datatype: int | None = ..., periodic: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> BlackmanWindow: ...

class Cast(OnnxOp):
    """The operator casts the elements of a given input tensor to a data type specified by the 'to' argument and
    returns an output tensor of the same size in the converted type.
    """

    @property
    def input(self) -> Value: ...
    round_mode: str
    saturate: int
    to: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, round_mode: str | None = ..., saturate: int | None = ..., to: int,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Cast: ...

class CastLike(OnnxOp):
    """The operator casts the elements of a given input tensor (the first input) to the same data type as the elements
    of the second input tensor.
    """

    @property
    def input(self) -> Value: ...
    @property
    def target_type(self) -> Value: ...
    round_mode: str
    saturate: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, target_type: Value, /, *, round_mode: str | None = ..., saturate: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> CastLike: ...

class CausalConvWithState(OnnxOp):
    """Stateful causal 1D depthwise convolution."""

    @property
    def input(self) -> Value: ...
    @property
    def weight(self) -> Value: ...
    @property
    def bias(self) -> Value | None: ...
    @property
    def past_state(self) -> Value | None: ...
    activation: str
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, weight: Value, bias: Value | None = ..., past_state: Value | None = ..., /, *,
        activation: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> CausalConvWithState: ...

class Ceil(OnnxOp):
    """Ceil takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the ceil is, y = ceil(x),
    is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Ceil: ...

class Celu(OnnxOp):
    """Continuously Differentiable Exponential Linear Units: Perform the linear unit element-wise on the input tensor X
    using formula: ``` max(0,x) + min(0,alpha*(exp(x/alpha)-1)) ```.
    """

    @property
    def X(self) -> Value: ...
    alpha: float
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, alpha: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Celu: ...

class CenterCropPad(OnnxOp):
    """Center crop or pad an input to given dimensions."""

    @property
    def input_data(self) -> Value: ...
    @property
    def shape(self) -> Value: ...
    axes: tuple[int, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, input_data: Value, shape: Value, /, *, axes: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> CenterCropPad: ...

class Clip(OnnxOp):
    """Clip operator limits the given input within an interval."""

    @property
    def input(self) -> Value: ...
    @property
    def min(self) -> Value | None: ...
    @property
    def max(self) -> Value | None: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, min: Value | None = ..., max: Value | None = ..., /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Clip: ...

class Col2Im(OnnxOp):
    """The operator rearranges column blocks back into a multidimensional image Col2Im behaves similarly to PyTorch's
    fold https://pytorch.org/docs/stable/generated/torch.nn.Fold.html, but it only supports *batched* multi-
    dimensional image tensors.
    """

    @property
    def input(self) -> Value: ...
    @property
    def image_shape(self) -> Value: ...
    @property
    def block_shape(self) -> Value: ...
    dilations: tuple[int, ...] | None
    pads: tuple[int, ...] | None
    strides: tuple[int, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, image_shape: Value, block_shape: Value, /, *, dilations: Sequence[int] | None = ...,
        pads: Sequence[int] | None = ..., strides: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Col2Im: ...

class Compress(OnnxOp):
    """Selects slices from an input tensor along a given axis where condition evaluates to True for each axis index."""

    @property
    def input(self) -> Value: ...
    @property
    def condition(self) -> Value: ...
    axis: int | None
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, condition: Value, /, *, axis: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Compress: ...

class Concat(OnnxOp):
    """Concatenate a list of tensors into a single tensor."""

    @property
    def inputs(self) -> tuple[Value, ...]: ...
    axis: int
    @classmethod
    def build(  # type: ignore[override]
        cls, inputs: Sequence[Value], /, *, axis: int,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Concat: ...

class ConcatFromSequence(OnnxOp):
    """Concatenate a sequence of tensors into a single tensor."""

    @property
    def input_sequence(self) -> Value: ...
    axis: int
    new_axis: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input_sequence: Value, /, *, axis: int, new_axis: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ConcatFromSequence: ...

class Constant(OnnxOp):
    """This operator produces a constant tensor."""

    sparse_value: Any
    value: TensorAttr | None
    value_float: float | None
    value_floats: tuple[float, ...] | None
    value_int: int | None
    value_ints: tuple[int, ...] | None
    value_string: str | None
    value_strings: tuple[str, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, *, sparse_value: Any = ..., value: Any = ..., value_float: float | None = ...,
        value_floats: Sequence[float] | None = ..., value_int: int | None = ...,
        value_ints: Sequence[int] | None = ..., value_string: str | None = ...,
        value_strings: Sequence[str] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Constant: ...

class ConstantOfShape(OnnxOp):
    """Generate a tensor with given value and shape."""

    @property
    def input(self) -> Value: ...
    value: TensorAttr | None
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, value: Any = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ConstantOfShape: ...

class Conv(OnnxOp):
    """The convolution operator consumes an input tensor and a filter, and computes the output."""

    @property
    def X(self) -> Value: ...
    @property
    def W(self) -> Value: ...
    @property
    def B(self) -> Value | None: ...
    auto_pad: str
    dilations: tuple[int, ...] | None
    group: int
    kernel_shape: tuple[int, ...] | None
    pads: tuple[int, ...] | None
    strides: tuple[int, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, W: Value, B: Value | None = ..., /, *, auto_pad: str | None = ...,
        dilations: Sequence[int] | None = ..., group: int | None = ..., kernel_shape: Sequence[int] | None = ...,
        pads: Sequence[int] | None = ..., strides: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Conv: ...

class ConvInteger(OnnxOp):
    """The integer convolution operator consumes an input tensor, its zero-point, a filter, and its zero-point, and
    computes the output.
    """

    @property
    def x(self) -> Value: ...
    @property
    def w(self) -> Value: ...
    @property
    def x_zero_point(self) -> Value | None: ...
    @property
    def w_zero_point(self) -> Value | None: ...
    auto_pad: str
    dilations: tuple[int, ...] | None
    group: int
    kernel_shape: tuple[int, ...] | None
    pads: tuple[int, ...] | None
    strides: tuple[int, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, x: Value, w: Value, x_zero_point: Value | None = ..., w_zero_point: Value | None = ..., /, *,
        auto_pad: str | None = ..., dilations: Sequence[int] | None = ..., group: int | None = ...,
        kernel_shape: Sequence[int] | None = ..., pads: Sequence[int] | None = ...,
        strides: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ConvInteger: ...

class ConvTranspose(OnnxOp):
    """The convolution transpose operator consumes an input tensor and a filter, and computes the output."""

    @property
    def X(self) -> Value: ...
    @property
    def W(self) -> Value: ...
    @property
    def B(self) -> Value | None: ...
    auto_pad: str
    dilations: tuple[int, ...] | None
    group: int
    kernel_shape: tuple[int, ...] | None
    output_padding: tuple[int, ...] | None
    output_shape: tuple[int, ...] | None
    pads: tuple[int, ...] | None
    strides: tuple[int, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, W: Value, B: Value | None = ..., /, *, auto_pad: str | None = ...,
        dilations: Sequence[int] | None = ..., group: int | None = ..., kernel_shape: Sequence[int] | None = ...,
        output_padding: Sequence[int] | None = ..., output_shape: Sequence[int] | None = ...,
        pads: Sequence[int] | None = ..., strides: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ConvTranspose: ...

class Cos(OnnxOp):
    """Calculates the cosine of the given input tensor, element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Cos: ...

class Cosh(OnnxOp):
    """Calculates the hyperbolic cosine of the given input tensor element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Cosh: ...

class CumProd(OnnxOp):
    """Performs cumulative product of the input elements along the given axis."""

    @property
    def x(self) -> Value: ...
    @property
    def axis(self) -> Value: ...
    exclusive: int
    reverse: int
    @classmethod
    def build(  # type: ignore[override]
        cls, x: Value, axis: Value, /, *, exclusive: int | None = ..., reverse: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> CumProd: ...

class CumSum(OnnxOp):
    """Performs cumulative sum of the input elements along the given axis."""

    @property
    def x(self) -> Value: ...
    @property
    def axis(self) -> Value: ...
    exclusive: int
    reverse: int
    @classmethod
    def build(  # type: ignore[override]
        cls, x: Value, axis: Value, /, *, exclusive: int | None = ..., reverse: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> CumSum: ...

class DFT(OnnxOp):
    """Computes the discrete Fourier Transform (DFT) of the input."""

    @property
    def input(self) -> Value: ...
    @property
    def dft_length(self) -> Value | None: ...
    @property
    def axis(self) -> Value | None: ...
    inverse: int
    onesided: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, dft_length: Value | None = ..., axis: Value | None = ..., /, *, inverse: int | None = ...,
        onesided: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> DFT: ...

class DeformConv(OnnxOp):
    """Performs deformable convolution as described in https://arxiv.org/abs/1703.06211 and
    https://arxiv.org/abs/1811.11168. This operator specification supports the general N-D case.
    """

    @property
    def X(self) -> Value: ...
    @property
    def W(self) -> Value: ...
    @property
    def offset(self) -> Value: ...
    @property
    def B(self) -> Value | None: ...
    @property
    def mask(self) -> Value | None: ...
    dilations: tuple[int, ...] | None
    group: int
    kernel_shape: tuple[int, ...] | None
    offset_group: int
    pads: tuple[int, ...] | None
    strides: tuple[int, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, W: Value, offset: Value, B: Value | None = ..., mask: Value | None = ..., /, *,
        dilations: Sequence[int] | None = ..., group: int | None = ..., kernel_shape: Sequence[int] | None = ...,
        offset_group: int | None = ..., pads: Sequence[int] | None = ..., strides: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> DeformConv: ...

class DepthToSpace(OnnxOp):
    """DepthToSpace rearranges (permutes) data from depth into blocks of spatial data."""

    @property
    def input(self) -> Value: ...
    blocksize: int
    mode: str
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, blocksize: int, mode: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> DepthToSpace: ...

class DequantizeLinear(OnnxOp):
    """The linear dequantization operator."""

    @property
    def x(self) -> Value: ...
    @property
    def x_scale(self) -> Value: ...
    @property
    def x_zero_point(self) -> Value | None: ...
    axis: int
    block_size: int
    output_dtype: int
    @classmethod
    def build(  # type: ignore[override]
        cls, x: Value, x_scale: Value, x_zero_point: Value | None = ..., /, *, axis: int | None = ...,
        block_size: int | None = ..., output_dtype: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> DequantizeLinear: ...

class Det(OnnxOp):
    """Det calculates determinant of a square matrix or batches of square matrices."""

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Det: ...

class Div(OnnxOp):
    """Performs element-wise binary division (with Numpy-style broadcasting support)."""

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Div: ...

class Dropout(OnnxOp):
    """Dropout takes an input floating-point tensor, an optional input ratio (floating-point scalar) and an optional
    input training_mode (boolean scalar).
    """

    @property
    def data(self) -> Value: ...
    @property
    def ratio(self) -> Value | None: ...
    @property
    def training_mode(self) -> Value | None: ...
    seed: int | None
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, ratio: Value | None = ..., training_mode: Value | None = ..., /, *, seed: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Dropout: ...

class DynamicQuantizeLinear(OnnxOp):
    """A Function to fuse calculation for Scale, Zero Point and FP32->8Bit conversion of FP32 Input data."""

    @property
    def x(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, x: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> DynamicQuantizeLinear: ...

class Einsum(OnnxOp):
    """An einsum of the form `term1, term2 -> output-term` produces an output tensor using the following equation ```
    output[output-term] = reduce-sum( input1[term1] * input2[term2] ) ``` where the reduce-sum performs a summation
    over all the indices occurring in the input terms (term1, term2) that do not occur in the output-term.
    """

    @property
    def Inputs(self) -> tuple[Value, ...]: ...
    equation: str
    @classmethod
    def build(  # type: ignore[override]
        cls, Inputs: Sequence[Value], /, *, equation: str,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Einsum: ...

class Elu(OnnxOp):
    """Elu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the function `f(x) = alpha *
    (exp(x) - 1.) for x < 0`, `f(x) = x for x >= 0`., is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    alpha: float
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, alpha: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Elu: ...

class Equal(OnnxOp):
    """Returns the tensor resulted from performing the `equal` logical operation elementwise on the input tensors `A`
    and `B` (with Numpy-style broadcasting support).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Equal: ...

class Erf(OnnxOp):
    """Computes the error function of the given input tensor element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Erf: ...

class Exp(OnnxOp):
    """Calculates the exponential of the given input tensor, element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Exp: ...

class Expand(OnnxOp):
    """Broadcast the input tensor following the given shape and the broadcast rule."""

    @property
    def input(self) -> Value: ...
    @property
    def shape(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, shape: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Expand: ...

class EyeLike(OnnxOp):
    """Generate a 2D tensor (matrix) with ones on the diagonal and zeros everywhere else."""

    @property
    def input(self) -> Value: ...
    dtype: int | None
    k: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, dtype: int | None = ..., k: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> EyeLike: ...

class Flatten(OnnxOp):
    """Flattens the input tensor into a 2D matrix."""

    @property
    def input(self) -> Value: ...
    axis: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, axis: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Flatten: ...

class Floor(OnnxOp):
    """Floor takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the floor is, y =
    floor(x), is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Floor: ...

class GRU(OnnxOp):
    """Computes an one-layer GRU. This operator is usually supported via some custom implementation such as CuDNN.
    Notations: * `X` - input tensor * `z` - update gate * `r` - reset gate * `h` - hidden gate * `t` - time step
    (t-1 means previous time step) * `W[zrh]` - W parameter weight matrix for update, reset, and hidden gates *
    `R[zrh]` - R recurrence weight matrix for update, reset, and hidden gates ....
    """

    @property
    def X(self) -> Value: ...
    @property
    def W(self) -> Value: ...
    @property
    def R(self) -> Value: ...
    @property
    def B(self) -> Value | None: ...
    @property
    def sequence_lens(self) -> Value | None: ...
    @property
    def initial_h(self) -> Value | None: ...
    activation_alpha: tuple[float, ...] | None
    activation_beta: tuple[float, ...] | None
    activations: tuple[str, ...] | None
    clip: float | None
    direction: str
    hidden_size: int | None
    layout: int
    linear_before_reset: int
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, W: Value, R: Value, B: Value | None = ..., sequence_lens: Value | None = ...,
        initial_h: Value | None = ..., /, *, activation_alpha: Sequence[float] | None = ...,
        activation_beta: Sequence[float] | None = ..., activations: Sequence[str] | None = ...,
        clip: float | None = ..., direction: str | None = ..., hidden_size: int | None = ...,
        layout: int | None = ..., linear_before_reset: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> GRU: ...

class Gather(OnnxOp):
    """Given `data` tensor of rank r >= 1, and `indices` tensor of rank q, gather entries of the axis dimension of
    `data` (by default outer-most one as axis=0) indexed by `indices`, and concatenates them in an output tensor of
    rank q + (r - 1).
    """

    @property
    def data(self) -> Value: ...
    @property
    def indices(self) -> Value: ...
    axis: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, indices: Value, /, *, axis: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Gather: ...

class GatherElements(OnnxOp):
    """GatherElements takes two inputs `data` and `indices` of the same rank r >= 1 and an optional attribute `axis`
    that identifies an axis of `data` (by default, the outer-most axis, that is axis 0).
    """

    @property
    def data(self) -> Value: ...
    @property
    def indices(self) -> Value: ...
    axis: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, indices: Value, /, *, axis: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> GatherElements: ...

class GatherND(OnnxOp):
    """Given `data` tensor of rank `r` >= 1, `indices` tensor of rank `q` >= 1, and `batch_dims` integer `b`, this
    operator gathers slices of `data` into an output tensor of rank `q + r - indices_shape[-1] - 1 - b`. `indices`
    is an q-dimensional integer tensor, best thought of as a `(q-1)`-dimensional tensor of index-tuples into `data`,
    where each element defines a slice of `data` `batch_dims` (denoted ....
    """

    @property
    def data(self) -> Value: ...
    @property
    def indices(self) -> Value: ...
    batch_dims: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, indices: Value, /, *, batch_dims: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> GatherND: ...

class Gelu(OnnxOp):
    """Gelu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the gaussian error linear
    units function, $y = 0.5 * x * (1 + erf(x/sqrt(2)))$ is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    approximate: str
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, approximate: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Gelu: ...

class Gemm(OnnxOp):
    """General Matrix multiplication: https://en.wikipedia.org/wiki/Basic_Linear_Algebra_Subprograms#Level_3 * A' =
    transpose(A) if transA else A * B' = transpose(B) if transB else B Compute Y = alpha * A' * B' + beta * C, where
    input tensor A has shape (M, K) or (K, M), input tensor B has shape (K, N) or (N, K), input tensor C is
    broadcastable to shape (M, N), and output tensor Y has shape (M, N).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @property
    def C(self) -> Value | None: ...
    alpha: float
    beta: float
    transA: int
    transB: int
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, C: Value | None = ..., /, *, alpha: float | None = ..., beta: float | None = ...,
        transA: int | None = ..., transB: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Gemm: ...

class GlobalAveragePool(OnnxOp):
    """GlobalAveragePool consumes an input tensor X and applies average pooling across the values in the same channel."""

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> GlobalAveragePool: ...

class GlobalLpPool(OnnxOp):
    """GlobalLpPool consumes an input tensor X and applies lp pool pooling across the values in the same channel."""

    @property
    def X(self) -> Value: ...
    p: int
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, p: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> GlobalLpPool: ...

class GlobalMaxPool(OnnxOp):
    """GlobalMaxPool consumes an input tensor X and applies max pooling across the values in the same channel."""

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> GlobalMaxPool: ...

class Greater(OnnxOp):
    """Returns the tensor resulted from performing the `greater` logical operation elementwise on the input tensors `A`
    and `B` (with Numpy-style broadcasting support).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Greater: ...

class GreaterOrEqual(OnnxOp):
    """Returns the tensor resulted from performing the `greater_equal` logical operation elementwise on the input
    tensors `A` and `B` (with Numpy-style broadcasting support).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> GreaterOrEqual: ...

class GridSample(OnnxOp):
    """Given an input `X` and a flow-field `grid`, computes the output `Y` using `X` values and pixel locations from
    the `grid`. For spatial input `X` with shape (N, C, H, W), the `grid` will have shape (N, H_out, W_out, 2), the
    output `Y` will have shape (N, C, H_out, W_out).
    """

    @property
    def X(self) -> Value: ...
    @property
    def grid(self) -> Value: ...
    align_corners: int
    mode: str
    padding_mode: str
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, grid: Value, /, *, align_corners: int | None = ..., mode: str | None = ...,
        padding_mode: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> GridSample: ...

class GroupNormalization(OnnxOp):
    """A GroupNormalization function."""

    @property
    def X(self) -> Value: ...
    @property
    def scale(self) -> Value: ...
    @property
    def bias(self) -> Value: ...
    epsilon: float
    num_groups: int
    stash_type: int
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, scale: Value, bias: Value, /, *, epsilon: float | None = ..., num_groups: int,
        stash_type: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> GroupNormalization: ...

class HammingWindow(OnnxOp):
    """Generates a Hamming window as described in the paper https://ieeexplore.ieee.org/document/1455106."""

    @property
    def size(self) -> Value: ...
    output_datatype: int
    periodic: int
    @classmethod
    def build(  # type: ignore[override]
        cls, size: Value, /, *, output_datatype: int | None = ..., periodic: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> HammingWindow: ...

class HannWindow(OnnxOp):
    """Generates a Hann window as described in the paper https://ieeexplore.ieee.org/document/1455106."""

    @property
    def size(self) -> Value: ...
    output_datatype: int
    periodic: int
    @classmethod
    def build(  # type: ignore[override]
        cls, size: Value, /, *, output_datatype: int | None = ..., periodic: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> HannWindow: ...

class HardSigmoid(OnnxOp):
    """HardSigmoid takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the HardSigmoid
    function, y = max(0, min(1, alpha * x + beta)), is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    alpha: float
    beta: float
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, alpha: float | None = ..., beta: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> HardSigmoid: ...

class HardSwish(OnnxOp):
    """HardSwish takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the HardSwish
    function, y = x * max(0, min(1, alpha * x + beta)) = x * HardSigmoid<alpha, beta>(x), where alpha = 1/6 and beta
    = 0.5, is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> HardSwish: ...

class Hardmax(OnnxOp):
    """The operator computes the hardmax values for the given input: Hardmax(element in input, axis) = 1 if the element
    is the first maximum value along the specified axis, 0 otherwise The 'axis' attribute indicates the dimension
    along which Hardmax will be performed.
    """

    @property
    def input(self) -> Value: ...
    axis: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, axis: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Hardmax: ...

class Identity(OnnxOp):
    """Identity operator."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Identity: ...

class If(OnnxOp):
    """If conditional."""

    @property
    def cond(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, cond: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> If: ...

class ImageDecoder(OnnxOp):
    """Loads and decodes and image from a file."""

    @property
    def encoded_stream(self) -> Value: ...
    pixel_format: str
    @classmethod
    def build(  # type: ignore[override]
        cls, encoded_stream: Value, /, *, pixel_format: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ImageDecoder: ...

class InstanceNormalization(OnnxOp):
    """Carries out instance normalization as described in the paper https://arxiv.org/abs/1607.08022. y = scale * (x -
    mean) / sqrt(variance + epsilon) + B, where mean and variance are computed per instance per channel.
    """

    @property
    def input(self) -> Value: ...
    @property
    def scale(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    epsilon: float
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, scale: Value, B: Value, /, *, epsilon: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> InstanceNormalization: ...

class IsInf(OnnxOp):
    """Map infinity to true and other values to false."""

    @property
    def X(self) -> Value: ...
    detect_negative: int
    detect_positive: int
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, detect_negative: int | None = ..., detect_positive: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> IsInf: ...

class IsNaN(OnnxOp):
    """Returns which elements of the input are NaN."""

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> IsNaN: ...

class LRN(OnnxOp):
    """Local Response Normalization proposed in the [AlexNet paper](https://papers.nips.cc/paper/4824-imagenet-
    classification-with-deep-convolutional-neural-networks.pdf).
    """

    @property
    def X(self) -> Value: ...
    alpha: float
    beta: float
    bias: float
    size: int
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, alpha: float | None = ..., beta: float | None = ..., bias: float | None = ..., size: int,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> LRN: ...

class LSTM(OnnxOp):
    """Computes an one-layer LSTM. This operator is usually supported via some custom implementation such as CuDNN.
    Notations: * `X` - input tensor * `i` - input gate * `o` - output gate * `f` - forget gate * `c` - cell gate *
    `t` - time step (t-1 means previous time step) * `W[iofc]` - W parameter weight matrix for input, output,
    forget, and cell gates * `R[iofc]` - R recurrence weight matrix for ....
    """

    @property
    def X(self) -> Value: ...
    @property
    def W(self) -> Value: ...
    @property
    def R(self) -> Value: ...
    @property
    def B(self) -> Value | None: ...
    @property
    def sequence_lens(self) -> Value | None: ...
    @property
    def initial_h(self) -> Value | None: ...
    @property
    def initial_c(self) -> Value | None: ...
    @property
    def P(self) -> Value | None: ...
    activation_alpha: tuple[float, ...] | None
    activation_beta: tuple[float, ...] | None
    activations: tuple[str, ...] | None
    clip: float | None
    direction: str
    hidden_size: int | None
    input_forget: int
    layout: int
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, W: Value, R: Value, B: Value | None = ..., sequence_lens: Value | None = ...,
        initial_h: Value | None = ..., initial_c: Value | None = ..., P: Value | None = ..., /, *,
        activation_alpha: Sequence[float] | None = ..., activation_beta: Sequence[float] | None = ...,
        activations: Sequence[str] | None = ..., clip: float | None = ..., direction: str | None = ...,
        hidden_size: int | None = ..., input_forget: int | None = ..., layout: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> LSTM: ...

class LayerNormalization(OnnxOp):
    """This is layer normalization defined in ONNX as function."""

    @property
    def X(self) -> Value: ...
    @property
    def Scale(self) -> Value: ...
    @property
    def B(self) -> Value | None: ...
    axis: int
    epsilon: float
    stash_type: int
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, Scale: Value, B: Value | None = ..., /, *, axis: int | None = ..., epsilon: float | None = ...,
        stash_type: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> LayerNormalization: ...

class LeakyRelu(OnnxOp):
    """LeakyRelu takes input data (Tensor<T>) and an argument alpha, and produces one output data (Tensor<T>) where the
    function `f(x) = alpha * x for x < 0`, `f(x) = x for x >= 0`, is applied to the data tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    alpha: float
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, alpha: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> LeakyRelu: ...

class Less(OnnxOp):
    """Returns the tensor resulted from performing the `less` logical operation elementwise on the input tensors `A`
    and `B` (with Numpy-style broadcasting support).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Less: ...

class LessOrEqual(OnnxOp):
    """Returns the tensor resulted from performing the `less_equal` logical operation elementwise on the input tensors
    `A` and `B` (with Numpy-style broadcasting support).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> LessOrEqual: ...

class LinearAttention(OnnxOp):
    """Unified linear attention operator for autoregressive decoding (T=1) and prefill (T>1)."""

    @property
    def query(self) -> Value: ...
    @property
    def key(self) -> Value: ...
    @property
    def value(self) -> Value: ...
    @property
    def past_state(self) -> Value | None: ...
    @property
    def decay(self) -> Value | None: ...
    @property
    def beta(self) -> Value | None: ...
    chunk_size: int
    kv_num_heads: int
    q_num_heads: int
    scale: float
    update_rule: str
    @classmethod
    def build(  # type: ignore[override]
        cls, query: Value, key: Value, value: Value, past_state: Value | None = ..., decay: Value | None = ...,
        beta: Value | None = ..., /, *, chunk_size: int | None = ..., kv_num_heads: int, q_num_heads: int,
        scale: float | None = ..., update_rule: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> LinearAttention: ...

class Log(OnnxOp):
    """Calculates the natural log of the given input tensor, element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Log: ...

class LogSoftmax(OnnxOp):
    """The operator computes the log of softmax values for the given input: LogSoftmax(input, axis) =
    Log(Softmax(input, axis=axis)) The 'axis' attribute indicates the dimension along which LogSoftmax will be
    performed.
    """

    @property
    def input(self) -> Value: ...
    axis: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, axis: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> LogSoftmax: ...

class Loop(OnnxOp):
    """Generic Looping construct."""

    @property
    def M(self) -> Value | None: ...
    @property
    def cond(self) -> Value | None: ...
    @property
    def v_initial(self) -> tuple[Value, ...]: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, M: Value | None = ..., cond: Value | None = ..., v_initial: Sequence[Value] = ..., /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Loop: ...

class LpNormalization(OnnxOp):
    """Given a matrix, apply Lp-normalization along the provided axis."""

    @property
    def input(self) -> Value: ...
    axis: int
    p: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, axis: int | None = ..., p: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> LpNormalization: ...

class LpPool(OnnxOp):
    """LpPool consumes an input tensor X and applies Lp pooling across the tensor according to kernel sizes, stride
    sizes, and pad lengths.
    """

    @property
    def X(self) -> Value: ...
    auto_pad: str
    ceil_mode: int
    dilations: tuple[int, ...] | None
    kernel_shape: tuple[int, ...]
    p: int
    pads: tuple[int, ...] | None
    strides: tuple[int, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, auto_pad: str | None = ..., ceil_mode: int | None = ...,
        dilations: Sequence[int] | None = ..., kernel_shape: Sequence[int], p: int | None = ...,
        pads: Sequence[int] | None = ..., strides: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> LpPool: ...

class MatMul(OnnxOp):
    """Matrix product that behaves like
    [numpy.matmul](https://numpy.org/doc/stable/reference/generated/numpy.matmul.html).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> MatMul: ...

class MatMulInteger(OnnxOp):
    """Matrix product that behaves like
    [numpy.matmul](https://numpy.org/doc/stable/reference/generated/numpy.matmul.html).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @property
    def a_zero_point(self) -> Value | None: ...
    @property
    def b_zero_point(self) -> Value | None: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, a_zero_point: Value | None = ..., b_zero_point: Value | None = ..., /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> MatMulInteger: ...

class Max(OnnxOp):
    """Element-wise max of each of the input tensors (with Numpy-style broadcasting support)."""

    @property
    def data_0(self) -> tuple[Value, ...]: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, data_0: Sequence[Value], /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Max: ...

class MaxPool(OnnxOp):
    """MaxPool consumes an input tensor X and applies max pooling across the tensor according to kernel sizes, stride
    sizes, and pad lengths.
    """

    @property
    def X(self) -> Value: ...
    auto_pad: str
    ceil_mode: int
    dilations: tuple[int, ...] | None
    kernel_shape: tuple[int, ...]
    pads: tuple[int, ...] | None
    storage_order: int
    strides: tuple[int, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, auto_pad: str | None = ..., ceil_mode: int | None = ...,
        dilations: Sequence[int] | None = ..., kernel_shape: Sequence[int], pads: Sequence[int] | None = ...,
        storage_order: int | None = ..., strides: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> MaxPool: ...

class MaxRoiPool(OnnxOp):
    """ROI max pool consumes an input tensor X and region of interests (RoIs) to apply max pooling across each RoI, to
    produce output 4-D tensor of shape (num_rois, channels, pooled_shape[0], pooled_shape[1]).
    """

    @property
    def X(self) -> Value: ...
    @property
    def rois(self) -> Value: ...
    pooled_shape: tuple[int, ...]
    spatial_scale: float
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, rois: Value, /, *, pooled_shape: Sequence[int], spatial_scale: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> MaxRoiPool: ...

class MaxUnpool(OnnxOp):
    """MaxUnpool essentially computes the partial inverse of the MaxPool op."""

    @property
    def X(self) -> Value: ...
    @property
    def I(self) -> Value: ...
    @property
    def output_shape(self) -> Value | None: ...
    kernel_shape: tuple[int, ...]
    pads: tuple[int, ...] | None
    strides: tuple[int, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, I: Value, output_shape: Value | None = ..., /, *, kernel_shape: Sequence[int],
        pads: Sequence[int] | None = ..., strides: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> MaxUnpool: ...

class Mean(OnnxOp):
    """Element-wise mean of each of the input tensors (with Numpy-style broadcasting support)."""

    @property
    def data_0(self) -> tuple[Value, ...]: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, data_0: Sequence[Value], /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Mean: ...

class MeanVarianceNormalization(OnnxOp):
    """A MeanVarianceNormalization Function: Perform mean variance normalization on the input tensor X using formula:
    `(X-EX)/sqrt(E(X-EX)^2)`.
    """

    @property
    def X(self) -> Value: ...
    axes: tuple[int, ...]
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, axes: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> MeanVarianceNormalization: ...

class MelWeightMatrix(OnnxOp):
    """Generate a MelWeightMatrix that can be used to re-weight a Tensor containing a linearly sampled frequency
    spectra (from DFT or STFT) into num_mel_bins frequency information based on the [lower_edge_hertz,
    upper_edge_hertz] range on the mel scale.
    """

    @property
    def num_mel_bins(self) -> Value: ...
    @property
    def dft_length(self) -> Value: ...
    @property
    def sample_rate(self) -> Value: ...
    @property
    def lower_edge_hertz(self) -> Value: ...
    @property
    def upper_edge_hertz(self) -> Value: ...
    output_datatype: int
    @classmethod
    def build(  # type: ignore[override]
        cls, num_mel_bins: Value, dft_length: Value, sample_rate: Value, lower_edge_hertz: Value,
        upper_edge_hertz: Value, /, *, output_datatype: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> MelWeightMatrix: ...

class Min(OnnxOp):
    """Element-wise min of each of the input tensors (with Numpy-style broadcasting support)."""

    @property
    def data_0(self) -> tuple[Value, ...]: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, data_0: Sequence[Value], /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Min: ...

class Mish(OnnxOp):
    """Mish: A Self Regularized Non-Monotonic Neural Activation Function."""

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Mish: ...

class Mod(OnnxOp):
    """Performs an element-wise binary modulo operation."""

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    fmod: int
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *, fmod: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Mod: ...

class Mul(OnnxOp):
    """Performs element-wise binary multiplication (with Numpy-style broadcasting support)."""

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Mul: ...

class Multinomial(OnnxOp):
    """Generate a tensor of samples from a multinomial distribution according to the probabilities of each of the
    possible outcomes.
    """

    @property
    def input(self) -> Value: ...
    dtype: int
    sample_size: int
    seed: float | None
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, dtype: int | None = ..., sample_size: int | None = ..., seed: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Multinomial: ...

class Neg(OnnxOp):
    """Neg takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where each element flipped sign, y
    = -x, is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Neg: ...

class NegativeLogLikelihoodLoss(OnnxOp):
    """A NegativeLogLikelihoodLoss operator computes (weighted) negative log likelihood loss."""

    @property
    def input(self) -> Value: ...
    @property
    def target(self) -> Value: ...
    @property
    def weight(self) -> Value | None: ...
    ignore_index: int | None
    reduction: str
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, target: Value, weight: Value | None = ..., /, *, ignore_index: int | None = ...,
        reduction: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> NegativeLogLikelihoodLoss: ...

class NonMaxSuppression(OnnxOp):
    """Filter out boxes that have high intersection-over-union (IOU) overlap with previously selected boxes."""

    @property
    def boxes(self) -> Value: ...
    @property
    def scores(self) -> Value: ...
    @property
    def max_output_boxes_per_class(self) -> Value | None: ...
    @property
    def iou_threshold(self) -> Value | None: ...
    @property
    def score_threshold(self) -> Value | None: ...
    center_point_box: int
    @classmethod
    def build(  # type: ignore[override]
        cls, boxes: Value, scores: Value, max_output_boxes_per_class: Value | None = ...,
        iou_threshold: Value | None = ..., score_threshold: Value | None = ..., /, *,
        center_point_box: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> NonMaxSuppression: ...

class NonZero(OnnxOp):
    """Returns the indices of the elements that are non-zero (in row-major order - by dimension)."""

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> NonZero: ...

class Not(OnnxOp):
    """Returns the negation of the input tensor element-wise."""

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Not: ...

class OneHot(OnnxOp):
    """Produces a one-hot tensor based on inputs."""

    @property
    def indices(self) -> Value: ...
    @property
    def depth(self) -> Value: ...
    @property
    def values(self) -> Value: ...
    axis: int
    @classmethod
    def build(  # type: ignore[override]
        cls, indices: Value, depth: Value, values: Value, /, *, axis: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> OneHot: ...

class Optional(OnnxOp):
    """Constructs an optional-type value containing either an empty optional of a certain type specified by the
    attribute, or a non-empty value containing the input element.
    """

    @property
    def input(self) -> Value | None: ...
    type: Type | None
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value | None = ..., /, *, type: Type | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Optional: ...

class OptionalGetElement(OnnxOp):
    """If the input is a tensor or sequence type, it returns the input."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> OptionalGetElement: ...

class OptionalHasElement(OnnxOp):
    """Returns true if (1) the input is an optional-type and contains an element, or, (2) the input is a tensor or
    sequence type.
    """

    @property
    def input(self) -> Value | None: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value | None = ..., /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> OptionalHasElement: ...

class Or(OnnxOp):
    """Returns the tensor resulted from performing the `or` logical operation elementwise on the input tensors `A` and
    `B` (with Numpy-style broadcasting support).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Or: ...

class PRelu(OnnxOp):
    """PRelu takes input data (Tensor<T>) and slope tensor as input, and produces one output data (Tensor<T>) where the
    function `f(x) = slope * x for x < 0`, `f(x) = x for x >= 0`., is applied to the data tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    @property
    def slope(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, slope: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> PRelu: ...

class Pad(OnnxOp):
    """Given a tensor containing the data to be padded (`data`), a tensor containing the number of start and end pad
    values for axis (`pads`), (optionally) a `mode`, and (optionally) `constant_value`, a padded tensor (`output`)
    is generated.
    """

    @property
    def data(self) -> Value: ...
    @property
    def pads(self) -> Value: ...
    @property
    def constant_value(self) -> Value | None: ...
    @property
    def axes(self) -> Value | None: ...
    mode: str
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, pads: Value, constant_value: Value | None = ..., axes: Value | None = ..., /, *,
        mode: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Pad: ...

class Pow(OnnxOp):
    """Pow takes input data (Tensor<T>) and exponent Tensor, and produces one output data (Tensor<T>) where the
    function `f(x) = x^exponent`, is applied to the data tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    @property
    def Y(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, Y: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Pow: ...

class QLinearConv(OnnxOp):
    """The convolution operator consumes a quantized input tensor, its scale and zero point, a quantized filter, its
    scale and zero point, and output's scale and zero point, and computes the quantized output.
    """

    @property
    def x(self) -> Value: ...
    @property
    def x_scale(self) -> Value: ...
    @property
    def x_zero_point(self) -> Value: ...
    @property
    def w(self) -> Value: ...
    @property
    def w_scale(self) -> Value: ...
    @property
    def w_zero_point(self) -> Value: ...
    @property
    def y_scale(self) -> Value: ...
    @property
    def y_zero_point(self) -> Value: ...
    @property
    def B(self) -> Value | None: ...
    auto_pad: str
    dilations: tuple[int, ...] | None
    group: int
    kernel_shape: tuple[int, ...] | None
    pads: tuple[int, ...] | None
    strides: tuple[int, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, x: Value, x_scale: Value, x_zero_point: Value, w: Value, w_scale: Value, w_zero_point: Value,
        y_scale: Value, y_zero_point: Value, B: Value | None = ..., /, *, auto_pad: str | None = ...,
        dilations: Sequence[int] | None = ..., group: int | None = ..., kernel_shape: Sequence[int] | None = ...,
        pads: Sequence[int] | None = ..., strides: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> QLinearConv: ...

class QLinearMatMul(OnnxOp):
    """Matrix product that behaves like
    [numpy.matmul](https://numpy.org/doc/stable/reference/generated/numpy.matmul.html).
    """

    @property
    def a(self) -> Value: ...
    @property
    def a_scale(self) -> Value: ...
    @property
    def a_zero_point(self) -> Value: ...
    @property
    def b(self) -> Value: ...
    @property
    def b_scale(self) -> Value: ...
    @property
    def b_zero_point(self) -> Value: ...
    @property
    def y_scale(self) -> Value: ...
    @property
    def y_zero_point(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, a: Value, a_scale: Value, a_zero_point: Value, b: Value, b_scale: Value, b_zero_point: Value,
        y_scale: Value, y_zero_point: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> QLinearMatMul: ...

class QuantizeLinear(OnnxOp):
    """The linear quantization operator consumes a high-precision tensor, a scale, and a zero point to compute the low-
    precision/quantized tensor.
    """

    @property
    def x(self) -> Value: ...
    @property
    def y_scale(self) -> Value: ...
    @property
    def y_zero_point(self) -> Value | None: ...
    axis: int
    block_size: int
    output_dtype: int
    precision: int
    saturate: int
    @classmethod
    def build(  # type: ignore[override]
        cls, x: Value, y_scale: Value, y_zero_point: Value | None = ..., /, *, axis: int | None = ...,
        block_size: int | None = ..., output_dtype: int | None = ..., precision: int | None = ...,
        saturate: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> QuantizeLinear: ...

class RMSNormalization(OnnxOp):
    """This is RMS normalization defined in ONNX as function as described in the paper
    https://arxiv.org/pdf/1910.07467. The overall computation can be split into two stages.
    """

    @property
    def X(self) -> Value: ...
    @property
    def scale(self) -> Value: ...
    axis: int
    epsilon: float
    stash_type: int
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, scale: Value, /, *, axis: int | None = ..., epsilon: float | None = ...,
        stash_type: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> RMSNormalization: ...

class RNN(OnnxOp):
    """Computes an one-layer simple RNN. This operator is usually supported via some custom implementation such as
    CuDNN. Notations: * `X` - input tensor * `i` - input gate * `t` - time step (t-1 means previous time step) *
    `Wi` - W parameter weight matrix for input gate * `Ri` - R recurrence weight matrix for input gate * `Wbi` - W
    parameter bias vector for input gate * `Rbi` - R parameter bias vector ....
    """

    @property
    def X(self) -> Value: ...
    @property
    def W(self) -> Value: ...
    @property
    def R(self) -> Value: ...
    @property
    def B(self) -> Value | None: ...
    @property
    def sequence_lens(self) -> Value | None: ...
    @property
    def initial_h(self) -> Value | None: ...
    activation_alpha: tuple[float, ...] | None
    activation_beta: tuple[float, ...] | None
    activations: tuple[str, ...]
    clip: float | None
    direction: str
    hidden_size: int | None
    layout: int
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, W: Value, R: Value, B: Value | None = ..., sequence_lens: Value | None = ...,
        initial_h: Value | None = ..., /, *, activation_alpha: Sequence[float] | None = ...,
        activation_beta: Sequence[float] | None = ..., activations: Sequence[str] | None = ...,
        clip: float | None = ..., direction: str | None = ..., hidden_size: int | None = ...,
        layout: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> RNN: ...

class RandomNormal(OnnxOp):
    """Generate a tensor with random values drawn from a normal distribution."""

    dtype: int
    mean: float
    scale: float
    seed: float | None
    shape: tuple[int, ...]
    @classmethod
    def build(  # type: ignore[override]
        cls, *, dtype: int | None = ..., mean: float | None = ..., scale: float | None = ...,
        seed: float | None = ..., shape: Sequence[int],
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> RandomNormal: ...

class RandomNormalLike(OnnxOp):
    """Generate a tensor with random values drawn from a normal distribution."""

    @property
    def input(self) -> Value: ...
    dtype: int | None
    mean: float
    scale: float
    seed: float | None
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, dtype: int | None = ..., mean: float | None = ..., scale: float | None = ...,
        seed: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> RandomNormalLike: ...

class RandomUniform(OnnxOp):
    """Generate a tensor with random values drawn from a uniform distribution."""

    dtype: int
    high: float
    low: float
    seed: float | None
    shape: tuple[int, ...]
    @classmethod
    def build(  # type: ignore[override]
        cls, *, dtype: int | None = ..., high: float | None = ..., low: float | None = ..., seed: float | None = ...,
        shape: Sequence[int],
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> RandomUniform: ...

class RandomUniformLike(OnnxOp):
    """Generate a tensor with random values drawn from a uniform distribution."""

    @property
    def input(self) -> Value: ...
    dtype: int | None
    high: float
    low: float
    seed: float | None
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, dtype: int | None = ..., high: float | None = ..., low: float | None = ...,
        seed: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> RandomUniformLike: ...

class Range(OnnxOp):
    """Generate a tensor containing a sequence of numbers that begin at `start` and extends by increments of `delta` up
    to `limit` (exclusive).
    """

    @property
    def start(self) -> Value: ...
    @property
    def limit(self) -> Value: ...
    @property
    def delta(self) -> Value: ...
    stash_type: int
    @classmethod
    def build(  # type: ignore[override]
        cls, start: Value, limit: Value, delta: Value, /, *, stash_type: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Range: ...

class Reciprocal(OnnxOp):
    """Reciprocal takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the reciprocal is, y
    = 1/x, is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Reciprocal: ...

class ReduceL1(OnnxOp):
    """Computes the L1 norm of the input tensor's elements along the provided axes."""

    @property
    def data(self) -> Value: ...
    @property
    def axes(self) -> Value | None: ...
    keepdims: int
    noop_with_empty_axes: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, axes: Value | None = ..., /, *, keepdims: int | None = ...,
        noop_with_empty_axes: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ReduceL1: ...

class ReduceL2(OnnxOp):
    """Computes the L2 norm of the input tensor's elements along the provided axes."""

    @property
    def data(self) -> Value: ...
    @property
    def axes(self) -> Value | None: ...
    keepdims: int
    noop_with_empty_axes: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, axes: Value | None = ..., /, *, keepdims: int | None = ...,
        noop_with_empty_axes: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ReduceL2: ...

class ReduceLogSum(OnnxOp):
    """Computes the log sum of the input tensor's elements along the provided axes."""

    @property
    def data(self) -> Value: ...
    @property
    def axes(self) -> Value | None: ...
    keepdims: int
    noop_with_empty_axes: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, axes: Value | None = ..., /, *, keepdims: int | None = ...,
        noop_with_empty_axes: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ReduceLogSum: ...

class ReduceLogSumExp(OnnxOp):
    """Computes the log sum exponent of the input tensor's elements along the provided axes."""

    @property
    def data(self) -> Value: ...
    @property
    def axes(self) -> Value | None: ...
    keepdims: int
    noop_with_empty_axes: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, axes: Value | None = ..., /, *, keepdims: int | None = ...,
        noop_with_empty_axes: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ReduceLogSumExp: ...

class ReduceMax(OnnxOp):
    """Computes the max of the input tensor's elements along the provided axes."""

    @property
    def data(self) -> Value: ...
    @property
    def axes(self) -> Value | None: ...
    keepdims: int
    noop_with_empty_axes: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, axes: Value | None = ..., /, *, keepdims: int | None = ...,
        noop_with_empty_axes: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ReduceMax: ...

class ReduceMean(OnnxOp):
    """Computes the mean of the input tensor's elements along the provided axes."""

    @property
    def data(self) -> Value: ...
    @property
    def axes(self) -> Value | None: ...
    keepdims: int
    noop_with_empty_axes: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, axes: Value | None = ..., /, *, keepdims: int | None = ...,
        noop_with_empty_axes: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ReduceMean: ...

class ReduceMin(OnnxOp):
    """Computes the min of the input tensor's elements along the provided axes."""

    @property
    def data(self) -> Value: ...
    @property
    def axes(self) -> Value | None: ...
    keepdims: int
    noop_with_empty_axes: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, axes: Value | None = ..., /, *, keepdims: int | None = ...,
        noop_with_empty_axes: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ReduceMin: ...

class ReduceProd(OnnxOp):
    """Computes the product of the input tensor's elements along the provided axes."""

    @property
    def data(self) -> Value: ...
    @property
    def axes(self) -> Value | None: ...
    keepdims: int
    noop_with_empty_axes: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, axes: Value | None = ..., /, *, keepdims: int | None = ...,
        noop_with_empty_axes: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ReduceProd: ...

class ReduceSum(OnnxOp):
    """Computes the sum of the input tensor's elements along the provided axes."""

    @property
    def data(self) -> Value: ...
    @property
    def axes(self) -> Value | None: ...
    keepdims: int
    noop_with_empty_axes: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, axes: Value | None = ..., /, *, keepdims: int | None = ...,
        noop_with_empty_axes: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ReduceSum: ...

class ReduceSumSquare(OnnxOp):
    """Computes the sum square of the input tensor's elements along the provided axes."""

    @property
    def data(self) -> Value: ...
    @property
    def axes(self) -> Value | None: ...
    keepdims: int
    noop_with_empty_axes: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, axes: Value | None = ..., /, *, keepdims: int | None = ...,
        noop_with_empty_axes: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ReduceSumSquare: ...

class RegexFullMatch(OnnxOp):
    """RegexFullMatch performs a full regex match on each element of the input tensor."""

    @property
    def X(self) -> Value: ...
    pattern: str | None
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, pattern: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> RegexFullMatch: ...

class Relu(OnnxOp):
    """Relu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the rectified linear
    function, y = max(0, x), is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Relu: ...

class Reshape(OnnxOp):
    """Reshape the input tensor similar to numpy.reshape."""

    @property
    def data(self) -> Value: ...
    @property
    def shape(self) -> Value: ...
    allowzero: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, shape: Value, /, *, allowzero: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Reshape: ...

class Resize(OnnxOp):
    """Resize the input tensor."""

    @property
    def X(self) -> Value: ...
    @property
    def roi(self) -> Value | None: ...
    @property
    def scales(self) -> Value | None: ...
    @property
    def sizes(self) -> Value | None: ...
    antialias: int
    axes: tuple[int, ...] | None
    coordinate_transformation_mode: str
    cubic_coeff_a: float
    exclude_outside: int
    extrapolation_value: float
    keep_aspect_ratio_policy: str
    mode: str
    nearest_mode: str
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, roi: Value | None = ..., scales: Value | None = ..., sizes: Value | None = ..., /, *,
        antialias: int | None = ..., axes: Sequence[int] | None = ...,
        coordinate_transformation_mode: str | None = ..., cubic_coeff_a: float | None = ...,
        exclude_outside: int | None = ..., extrapolation_value: float | None = ...,
        keep_aspect_ratio_policy: str | None = ..., mode: str | None = ..., nearest_mode: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Resize: ...

class ReverseSequence(OnnxOp):
    """Reverse batch of sequences having different lengths specified by `sequence_lens`. For each slice i iterating on
    batch axis, the operator reverses the first sequence_lens[i] elements on time axis, and copies elements whose
    index's beyond sequence_lens[i] to the output.
    """

    @property
    def input(self) -> Value: ...
    @property
    def sequence_lens(self) -> Value: ...
    batch_axis: int
    time_axis: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, sequence_lens: Value, /, *, batch_axis: int | None = ..., time_axis: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ReverseSequence: ...

class RoiAlign(OnnxOp):
    """Region of Interest (RoI) align operation described in the [Mask R-CNN paper](https://arxiv.org/abs/1703.06870)."""

    @property
    def X(self) -> Value: ...
    @property
    def rois(self) -> Value: ...
    @property
    def batch_indices(self) -> Value: ...
    coordinate_transformation_mode: str
    mode: str
    output_height: int
    output_width: int
    sampling_ratio: int
    spatial_scale: float
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, rois: Value, batch_indices: Value, /, *, coordinate_transformation_mode: str | None = ...,
        mode: str | None = ..., output_height: int | None = ..., output_width: int | None = ...,
        sampling_ratio: int | None = ..., spatial_scale: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> RoiAlign: ...

class RotaryEmbedding(OnnxOp):
    """RotaryEmbedding is the implementation of rotary positional embeddings (RoPE) based on the paper
    https://arxiv.org/pdf/2104.09864. The key advantage of RoPE is that it allows the model to understand both the
    absolute position of a token and the relative distances between tokens.
    """

    @property
    def X(self) -> Value: ...
    @property
    def cos_cache(self) -> Value: ...
    @property
    def sin_cache(self) -> Value: ...
    @property
    def position_ids(self) -> Value | None: ...
    interleaved: int
    num_heads: int | None
    rotary_embedding_dim: int
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, cos_cache: Value, sin_cache: Value, position_ids: Value | None = ..., /, *,
        interleaved: int | None = ..., num_heads: int | None = ..., rotary_embedding_dim: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> RotaryEmbedding: ...

class Round(OnnxOp):
    """Round takes one input Tensor and rounds the values, element-wise, meaning it finds the nearest integer for each
    value.
    """

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Round: ...

class STFT(OnnxOp):
    """Computes the Short-time Fourier Transform of the signal."""

    @property
    def signal(self) -> Value: ...
    @property
    def frame_step(self) -> Value: ...
    @property
    def window(self) -> Value | None: ...
    @property
    def frame_length(self) -> Value | None: ...
    onesided: int
    @classmethod
    def build(  # type: ignore[override]
        cls, signal: Value, frame_step: Value, window: Value | None = ..., frame_length: Value | None = ..., /, *,
        onesided: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> STFT: ...

class Scan(OnnxOp):
    """Scan can be used to iterate over one or more scan_input tensors, constructing zero or more scan_output tensors."""

    @property
    def initial_state_and_scan_inputs(self) -> tuple[Value, ...]: ...
    num_scan_inputs: int
    scan_input_axes: tuple[int, ...] | None
    scan_input_directions: tuple[int, ...] | None
    scan_output_axes: tuple[int, ...] | None
    scan_output_directions: tuple[int, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, initial_state_and_scan_inputs: Sequence[Value], /, *, num_scan_inputs: int,
        scan_input_axes: Sequence[int] | None = ..., scan_input_directions: Sequence[int] | None = ...,
        scan_output_axes: Sequence[int] | None = ..., scan_output_directions: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Scan: ...

class Scatter(OnnxOp):
    """Given `data`, `updates` and `indices` input tensors of rank r >= 1, write the values provided by `updates` into
    the first input, `data`, along `axis` dimension of `data` (by default outer-most one as axis=0) at corresponding
    `indices`. For each entry in `updates`, the target index in `data` is specified by corresponding entry in
    `indices` for dimension = axis, and index in source for dimension != ....
    """

    @property
    def data(self) -> Value: ...
    @property
    def indices(self) -> Value: ...
    @property
    def updates(self) -> Value: ...
    axis: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, indices: Value, updates: Value, /, *, axis: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Scatter: ...

class ScatterElements(OnnxOp):
    """ScatterElements takes three inputs `data`, `updates`, and `indices` of the same rank r >= 1 and an optional
    attribute axis that identifies an axis of `data` (by default, the outer-most axis, that is axis 0).
    """

    @property
    def data(self) -> Value: ...
    @property
    def indices(self) -> Value: ...
    @property
    def updates(self) -> Value: ...
    axis: int
    reduction: str
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, indices: Value, updates: Value, /, *, axis: int | None = ..., reduction: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ScatterElements: ...

class ScatterND(OnnxOp):
    """ScatterND takes three inputs `data` tensor of rank r >= 1, `indices` tensor of rank q >= 1, and `updates` tensor
    of rank q + r - indices.shape[-1] - 1. The output of the operation is produced by creating a copy of the input
    `data`, and then updating its value to values specified by `updates` at specific index positions specified by
    `indices`. Its output shape is the same as the shape of `data`. ....
    """

    @property
    def data(self) -> Value: ...
    @property
    def indices(self) -> Value: ...
    @property
    def updates(self) -> Value: ...
    reduction: str
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, indices: Value, updates: Value, /, *, reduction: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ScatterND: ...

class Selu(OnnxOp):
    """Selu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the scaled exponential
    linear unit function, `y = gamma * (alpha * e^x - alpha) for x <= 0`, `y = gamma * x for x > 0`, is applied to
    the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    alpha: float
    gamma: float
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, alpha: float | None = ..., gamma: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Selu: ...

class SequenceAt(OnnxOp):
    """Outputs a tensor copy from the tensor at 'position' in 'input_sequence'. Accepted range for 'position' is in
    `[-n, n - 1]`, where `n` is the number of tensors in 'input_sequence'. Negative value means counting positions
    from the back.
    """

    @property
    def input_sequence(self) -> Value: ...
    @property
    def position(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input_sequence: Value, position: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> SequenceAt: ...

class SequenceConstruct(OnnxOp):
    """Construct a tensor sequence containing 'inputs' tensors."""

    @property
    def inputs(self) -> tuple[Value, ...]: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, inputs: Sequence[Value], /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> SequenceConstruct: ...

class SequenceEmpty(OnnxOp):
    """Construct an empty tensor sequence, with given data type."""

    dtype: int | None
    @classmethod
    def build(  # type: ignore[override]
        cls, *, dtype: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> SequenceEmpty: ...

class SequenceErase(OnnxOp):
    """Outputs a tensor sequence that removes the tensor at 'position' from 'input_sequence'. Accepted range for
    'position' is in `[-n, n - 1]`, where `n` is the number of tensors in 'input_sequence'. Negative value means
    counting positions from the back.
    """

    @property
    def input_sequence(self) -> Value: ...
    @property
    def position(self) -> Value | None: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input_sequence: Value, position: Value | None = ..., /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> SequenceErase: ...

class SequenceInsert(OnnxOp):
    """Outputs a tensor sequence that inserts 'tensor' into 'input_sequence' at 'position'. 'tensor' must have the same
    data type as 'input_sequence'. Accepted range for 'position' is in `[-n, n]`, where `n` is the number of tensors
    in 'input_sequence'. Negative value means counting positions from the back.
    """

    @property
    def input_sequence(self) -> Value: ...
    @property
    def tensor(self) -> Value: ...
    @property
    def position(self) -> Value | None: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input_sequence: Value, tensor: Value, position: Value | None = ..., /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> SequenceInsert: ...

class SequenceLength(OnnxOp):
    """Produces a scalar(tensor of empty shape) containing the number of tensors in 'input_sequence'."""

    @property
    def input_sequence(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input_sequence: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> SequenceLength: ...

class SequenceMap(OnnxOp):
    """Applies a sub-graph to each sample in the input sequence(s)."""

    @property
    def input_sequence(self) -> Value: ...
    @property
    def additional_inputs(self) -> tuple[Value, ...]: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input_sequence: Value, additional_inputs: Sequence[Value], /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> SequenceMap: ...

class Shape(OnnxOp):
    """Takes a tensor as input and outputs an 1D int64 tensor containing the shape of the input tensor."""

    @property
    def data(self) -> Value: ...
    end: int | None
    start: int
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, /, *, end: int | None = ..., start: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Shape: ...

class Shrink(OnnxOp):
    """Shrink takes one input data (Tensor<numeric>) and produces one Tensor output, having same datatype and shape
    with input.
    """

    @property
    def input(self) -> Value: ...
    bias: float
    lambd: float
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, bias: float | None = ..., lambd: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Shrink: ...

class Sigmoid(OnnxOp):
    """Sigmoid takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the sigmoid function, y
    = 1 / (1 + exp(-x)), is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Sigmoid: ...

class Sign(OnnxOp):
    """Calculate the sign of the given input tensor element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Sign: ...

class Sin(OnnxOp):
    """Calculates the sine of the given input tensor, element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Sin: ...

class Sinh(OnnxOp):
    """Calculates the hyperbolic sine of the given input tensor element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Sinh: ...

class Size(OnnxOp):
    """Takes a tensor as input and outputs a int64 scalar that equals to the total number of elements of the input
    tensor.
    """

    @property
    def data(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Size: ...

class Slice(OnnxOp):
    """Produces a slice of the input tensor along multiple axes."""

    @property
    def data(self) -> Value: ...
    @property
    def starts(self) -> Value: ...
    @property
    def ends(self) -> Value: ...
    @property
    def axes(self) -> Value | None: ...
    @property
    def steps(self) -> Value | None: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, starts: Value, ends: Value, axes: Value | None = ..., steps: Value | None = ..., /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Slice: ...

class Softmax(OnnxOp):
    """The operator computes the normalized exponential values for the given input: Softmax(input, axis) = Exp(input) /
    ReduceSum(Exp(input), axis=axis, keepdims=1) The 'axis' attribute indicates the dimension along which Softmax
    will be performed.
    """

    @property
    def input(self) -> Value: ...
    axis: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, axis: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Softmax: ...

class SoftmaxCrossEntropyLoss(OnnxOp):
    """Loss function that measures the softmax cross entropy between 'scores' and 'labels'. This operator first
    computes a loss tensor whose shape is identical to the labels input.
    """

    @property
    def scores(self) -> Value: ...
    @property
    def labels(self) -> Value: ...
    @property
    def weights(self) -> Value | None: ...
    ignore_index: int | None
    reduction: str
    @classmethod
    def build(  # type: ignore[override]
        cls, scores: Value, labels: Value, weights: Value | None = ..., /, *, ignore_index: int | None = ...,
        reduction: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> SoftmaxCrossEntropyLoss: ...

class Softplus(OnnxOp):
    """Softplus takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the softplus function,
    y = ln(exp(x) + 1), is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Softplus: ...

class Softsign(OnnxOp):
    """Calculates the softsign (x/(1+|x|)) of the given input tensor element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Softsign: ...

class SpaceToDepth(OnnxOp):
    """SpaceToDepth rearranges blocks of spatial data into depth."""

    @property
    def input(self) -> Value: ...
    blocksize: int
    mode: str
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *, blocksize: int, mode: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> SpaceToDepth: ...

class Split(OnnxOp):
    """Split a tensor into a list of tensors, along the specified 'axis'. Either input 'split' or the attribute
    'num_outputs' should be specified, but not both.
    """

    @property
    def input(self) -> Value: ...
    @property
    def split(self) -> Value | None: ...
    axis: int
    num_outputs: int | None
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, split: Value | None = ..., /, *, axis: int | None = ..., num_outputs: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Split: ...

class SplitToSequence(OnnxOp):
    """Split a tensor into a sequence of tensors, along the specified 'axis'. Lengths of the parts can be specified
    using the optional argument 'split'. If the argument `split' is not specified, a default scalar value of 1 is
    used as the value of `split'. 'split' must contain only positive numbers.
    """

    @property
    def input(self) -> Value: ...
    @property
    def split(self) -> Value | None: ...
    axis: int
    keepdims: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, split: Value | None = ..., /, *, axis: int | None = ..., keepdims: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> SplitToSequence: ...

class Sqrt(OnnxOp):
    """Square root takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the square root is,
    y = x^0.5, is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Sqrt: ...

class Squeeze(OnnxOp):
    """Remove single-dimensional entries from the shape of a tensor."""

    @property
    def data(self) -> Value: ...
    @property
    def axes(self) -> Value | None: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, axes: Value | None = ..., /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Squeeze: ...

class StringConcat(OnnxOp):
    """StringConcat concatenates string tensors elementwise (with NumPy-style broadcasting support)."""

    @property
    def X(self) -> Value: ...
    @property
    def Y(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, Y: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> StringConcat: ...

class StringNormalizer(OnnxOp):
    """StringNormalization performs string operations for basic cleaning."""

    @property
    def X(self) -> Value: ...
    case_change_action: str
    is_case_sensitive: int
    locale: str | None
    stopwords: tuple[str, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, case_change_action: str | None = ..., is_case_sensitive: int | None = ...,
        locale: str | None = ..., stopwords: Sequence[str] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> StringNormalizer: ...

class StringSplit(OnnxOp):
    """StringSplit splits a string tensor's elements into substrings based on a delimiter attribute and a maxsplit
    attribute.
    """

    @property
    def X(self) -> Value: ...
    delimiter: str | None
    maxsplit: int | None
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, delimiter: str | None = ..., maxsplit: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> StringSplit: ...

class Sub(OnnxOp):
    """Performs element-wise binary subtraction (with Numpy-style broadcasting support)."""

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Sub: ...

class Sum(OnnxOp):
    """Element-wise sum of each of the input tensors (with Numpy-style broadcasting support)."""

    @property
    def data_0(self) -> tuple[Value, ...]: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, data_0: Sequence[Value], /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Sum: ...

class SwiGLU(OnnxOp):
    """SwiGLU is a gated activation that takes two inputs, a gate `A` and a linear (value) input `B`, and produces one
    output `Y`. It applies the Swish activation to the gate and multiplies the result elementwise by the linear
    input: ``` Y = Swish_alpha(A) * B ``` The gate activation `Swish_alpha` is exactly the `Swish` operator with the
    same `alpha`, i.e.
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    alpha: float
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *, alpha: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> SwiGLU: ...

class Swish(OnnxOp):
    """Swish function takes one input data (Tensor<T>) and produces one output data (Tensor<T>) of the same shape,
    where $Swish(x) = x * sigmoid(alpha * x)$.
    """

    @property
    def X(self) -> Value: ...
    alpha: float
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, alpha: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Swish: ...

class Tan(OnnxOp):
    """Calculates the tangent of the given input tensor, element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Tan: ...

class Tanh(OnnxOp):
    """Calculates the hyperbolic tangent of the given input tensor element-wise."""

    @property
    def input(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Tanh: ...

class TensorScatter(OnnxOp):
    """TensorScatter is a generic tensor update operation, motivated by the requirements for KV cache updates for
    Attention ops commonly found in LLMs.
    """

    @property
    def past_cache(self) -> Value: ...
    @property
    def update(self) -> Value: ...
    @property
    def write_indices(self) -> Value | None: ...
    axis: int
    mode: str
    @classmethod
    def build(  # type: ignore[override]
        cls, past_cache: Value, update: Value, write_indices: Value | None = ..., /, *, axis: int | None = ...,
        mode: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> TensorScatter: ...

class TfIdfVectorizer(OnnxOp):
    """This transform extracts n-grams from the input sequence and save them as a vector."""

    @property
    def X(self) -> Value: ...
    max_gram_length: int
    max_skip_count: int
    min_gram_length: int
    mode: str
    ngram_counts: tuple[int, ...]
    ngram_indexes: tuple[int, ...]
    pool_int64s: tuple[int, ...] | None
    pool_strings: tuple[str, ...] | None
    weights: tuple[float, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, max_gram_length: int, max_skip_count: int, min_gram_length: int, mode: str,
        ngram_counts: Sequence[int], ngram_indexes: Sequence[int], pool_int64s: Sequence[int] | None = ...,
        pool_strings: Sequence[str] | None = ..., weights: Sequence[float] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> TfIdfVectorizer: ...

class ThresholdedRelu(OnnxOp):
    """ThresholdedRelu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the rectified
    linear function, y = x for x > alpha, y = 0 otherwise, is applied to the tensor elementwise.
    """

    @property
    def X(self) -> Value: ...
    alpha: float
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, alpha: float | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> ThresholdedRelu: ...

class Tile(OnnxOp):
    """Constructs a tensor by tiling a given tensor."""

    @property
    def input(self) -> Value: ...
    @property
    def repeats(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, repeats: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Tile: ...

class TopK(OnnxOp):
    """Retrieve the top-K largest or smallest elements along a specified axis."""

    @property
    def X(self) -> Value: ...
    @property
    def K(self) -> Value: ...
    axis: int
    largest: int
    sorted: int
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, K: Value, /, *, axis: int | None = ..., largest: int | None = ..., sorted: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> TopK: ...

class Transpose(OnnxOp):
    """Returns a transpose of the input tensor."""

    @property
    def data(self) -> Value: ...
    perm: tuple[int, ...] | None
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, /, *, perm: Sequence[int] | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Transpose: ...

class Trilu(OnnxOp):
    """Given a 2-D matrix or batches of 2-D matrices, returns the upper or lower triangular part of the tensor(s)."""

    @property
    def input(self) -> Value: ...
    @property
    def k(self) -> Value | None: ...
    upper: int
    @classmethod
    def build(  # type: ignore[override]
        cls, input: Value, k: Value | None = ..., /, *, upper: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Trilu: ...

class Unique(OnnxOp):
    """Find the unique elements of a tensor."""

    @property
    def X(self) -> Value: ...
    axis: int | None
    sorted: int
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, /, *, axis: int | None = ..., sorted: int | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Unique: ...

class Unsqueeze(OnnxOp):
    """Insert single-dimensional entries to the shape of an input tensor (`data`)."""

    @property
    def data(self) -> Value: ...
    @property
    def axes(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, data: Value, axes: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Unsqueeze: ...

class Upsample(OnnxOp):
    """Upsample the input tensor."""

    @property
    def X(self) -> Value: ...
    @property
    def scales(self) -> Value: ...
    mode: str
    @classmethod
    def build(  # type: ignore[override]
        cls, X: Value, scales: Value, /, *, mode: str | None = ...,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Upsample: ...

class Where(OnnxOp):
    """Return elements, either from X or Y, depending on condition."""

    @property
    def condition(self) -> Value: ...
    @property
    def X(self) -> Value: ...
    @property
    def Y(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, condition: Value, X: Value, Y: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Where: ...

class Xor(OnnxOp):
    """Returns the tensor resulted from performing the `xor` logical operation elementwise on the input tensors `A` and
    `B` (with Numpy-style broadcasting support).
    """

    @property
    def A(self) -> Value: ...
    @property
    def B(self) -> Value: ...
    @classmethod
    def build(  # type: ignore[override]
        cls, A: Value, B: Value, /, *,
        result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ...,
    ) -> Xor: ...

def __getattr__(name: str) -> type[Operation]: ...
