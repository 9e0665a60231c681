"""The ``ncnn`` dialect: one operation per layer of a .param file, with the names of ncnn's own sources.

`LAYERS` is the format. Operands are a layer's blobs and, where ncnn keeps them in the .bin file, its weights; a value
keeps the leading batch axis of the ONNX model, which no blob has, so an axis here is one less than ONNX's. Parameters
are written ``name:key=default``, as ``pd.get(key, default)`` reads them in ``src/layer/*.cpp``.
"""

from __future__ import annotations

from collections.abc import Mapping

from qir.ir.records import numbered_records

__all__ = ["DIALECT", "KEYS", "LAYERS"]

_CONVOLUTION = (
    "num_output:0 kernel_w:1 kernel_h:11 dilation_w:2=1 dilation_h:12=1 stride_w:3=1 stride_h:13=1 pad_left:4 "
    "pad_right:15 pad_top:14 pad_bottom:16 bias_term:5 weight_data_size:6 int8_scale_term:8 activation_type:9 "
    "activation_params:10=(0.0,) featmask:31"
)

LAYERS: Mapping[str, tuple[str, str, str]] = {
    "Split": ("x", "", "one blob for each reader: a blob has only one"),
    "MemoryData": ("data", "w:0 h:1 d:11 c:2", "a constant"),
    "Convolution": ("x w b?", _CONVOLUTION, "int8 where int8_scale_term is not 0; above 100 its result is int8 too"),
    "ConvolutionDepthWise": ("x w b?", _CONVOLUTION + " group:7=1", "scales per group (terms 1, 101) or one (2, 102)"),
    "InnerProduct": ("x w b?", "num_output:0 bias_term:1 weight_data_size:2 int8_scale_term:8", "gives floats"),
    "Gemm": ("x w c?", "alpha:0=1.0 beta:1=1.0 transB:3=1 constantB:5=1 constantC:6=1 constantN:8 constantK:9 "
             "constant_broadcast_type_C:10=-1 quantize_term:18", "float, or weights in blocks"),
    "Pooling": ("x", "pooling_type:0 kernel_w:1 kernel_h:11 stride_w:2=1 stride_h:12=1 pad_left:3 pad_right:14 "
                "pad_top:13 pad_bottom:15 global_pooling:4 pad_mode:5 avgpool_count_include_pad:6", ""),
    "Embed": ("x w", "num_output:0 input_dim:1 weight_data_size:3", "rows of a table by 32-bit indices"),
    "LayerNorm": ("x gamma? beta?", "affine_size:0 eps:1=0.001 affine:2=1", "along the last axis"),
    "InstanceNorm": ("x gamma beta", "channels:0 eps:1=0.001 affine:2=1", "each channel"),
    "PReLU": ("x slope", "num_slope:0", "one slope, or one for each channel"),
    "Interp": ("x", "resize_type:0 output_height:3 output_width:4 align_corner:6", "1 nearest, 2 linear, 3 cubic"),
    "Reduction": ("x", "operation:0 reduce_all:1 axes:3=() keepdims:4 fixbug0:5=1", "sum, mean, largest, smallest"),
    "Padding": ("x", "top:0 bottom:1 left:2 right:3 type:4 value:5=0.0", "type 0 constant, 1 replicate, 2 reflect"),
    "BinaryOp": ("a b?", "op_type:0 with_scalar:1 scalar:2=0.0", "of two blobs, or with a number"),
    "Crop": ("x", "starts:9=() ends:10=() axes:11=()", "a part of a blob"),
    "Clip": ("x", "min:0=-3.4028234663852886e+38 max:1=3.4028234663852886e+38", "between two numbers"),
    "Reshape": ("x", "w:0=-233 h:1=-233 d:11=-233 c:2=-233", "sizes from the innermost on; -233 is none"),
    **{name: ("x" if name != "Concat" else "xs*", parameters, "") for name, parameters in {
        "Concat": "axis:0", "Permute": "order_type:0", "PixelShuffle": "upscale_factor:0=1 mode:1",
        "Softmax": "axis:0 fixbug0:1=1", "UnaryOp": "op_type:0", "ReLU": "slope:0=0.0", "GELU": "fast_gelu:0",
        "ELU": "alpha:0=0.1", "HardSwish": "alpha:0=0.2 beta:1=0.5", "HardSigmoid": "alpha:0=0.2 beta:1=0.5",
        **dict.fromkeys(("Flatten", "Sigmoid", "TanH", "Erf"), ""),
    }.items()},
    "MatMul": ("a b", "transB:0", ""),
}  # fmt: skip
"""Type: its operands, its parameters, what it is."""

DIALECT, KEYS = numbered_records(
    "ncnn", "The layers of ncnn's .param files (magic 7767517), as its release of 20261020 reads them.",
    {name: (reads, "ys*" if name == "Split" else "y", given, what) for name, (reads, given, what) in LAYERS.items()},
)  # fmt: skip
"""The number of each parameter in the .param file, by layer type: `KEYS`."""
