"""What the records compute, for the simulation: sums in integers, then a float32 factor, rounded half to even."""

from qir.interpreter import Kernel, Node, kernel, plain
from qir.numerics import encode

kernel("chipname.Quantize")(plain.quantized)
kernel("chipname.Dequantize")(plain.dequantized)
kernel("chipname.Conv")(lambda node: plain.requantized(node, plain.conv_sums(node), "float"))
kernel("chipname.Dense")(lambda node: plain.requantized(node, plain.product_sums(node), "float"))


@kernel("chipname.Add")
def add(node: Node) -> Kernel:
    """Both operands as float32 numbers, added, and quantized."""
    a, b, y = (plain.known(node, i) for i in range(3))
    low, high = plain.clamp_codes(node.op, y)
    return lambda p, q: encode(p.float() * a.scale + q.float() * b.scale, y.scheme, y.scale).clamp_(low, high)
