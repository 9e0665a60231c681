"""What the instructions compute, for the simulation: sums in integers, then the shift."""

from qir.interpreter import Kernel, Node, kernel, plain

kernel("tinynpu.Quantize")(plain.quantized)
kernel("tinynpu.Dequantize")(plain.dequantized)
kernel("tinynpu.Conv")(lambda node: plain.requantized(node, plain.conv_sums(node), "shift"))
kernel("tinynpu.Dense")(lambda node: plain.requantized(node, plain.product_sums(node), "shift"))
plain.delegated("tinynpu.MaxPool", "MaxPool", kernel_shape="kernel", pads="pads", strides="strides")
plain.delegated("tinynpu.Concat", "Concat", axis="axis")
plain.delegated("tinynpu.Flatten", "Flatten")
plain.delegated("tinynpu.Mean", "GlobalAveragePool")


@kernel("tinynpu.Add")
def add(node: Node) -> Kernel:
    """Both operands at the finer of their scales, which the other is a whole multiple of."""
    scales = [plain.known(node, i).scale.double() for i in (0, 1)]
    left, right = (int(scale / min(scales)) for scale in scales)
    return plain.requantized(node, lambda a, b: a.long() * left + b.long() * right, "shift", min(scales))
