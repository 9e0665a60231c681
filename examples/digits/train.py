"""Train the example network on handwritten digits and write digits.onnx.

    python examples/digits/train.py            (about a minute on one core)

The net is small but has what makes quantization interesting: BatchNormalization, a depthwise convolution under
ReLU6, a residual Add, two branches that meet in a Concat, and a Gemm behind a global average. The ONNX file is
written with onnx.helper, node by node, so that its names are ours and no exporter is needed.

`digits.npz` holds the 1797 images of the test part of the "Optical Recognition of Handwritten Digits" data set
(E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0), 8 by 8
pixels of 0..16, as scikit-learn ships them; 1000 for training and 797 for testing, split at random.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent


class Net(nn.Module):
    """Digits of N x 1 x 8 x 8 in 0..1 to N x 10 scores."""

    def __init__(self) -> None:
        super().__init__()

        def conv(i: int, o: int, k: int, groups: int = 1, bias: bool = False) -> nn.Conv2d:
            return nn.Conv2d(i, o, k, padding=k // 2, groups=groups, bias=bias)

        self.stem, self.stem_bn = conv(1, 16, 3), nn.BatchNorm2d(16)
        self.depthwise, self.depthwise_bn = conv(16, 16, 3, groups=16), nn.BatchNorm2d(16)
        self.pointwise, self.pointwise_bn = conv(16, 16, 1), nn.BatchNorm2d(16)
        self.narrow, self.wide = conv(16, 16, 1, bias=True), conv(16, 16, 3, bias=True)
        self.mix, self.mix_bn = conv(32, 32, 1), nn.BatchNorm2d(32)
        self.scores = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem_bn(self.stem(x)))
        y = F.relu6(self.depthwise_bn(self.depthwise(x)))
        x = F.relu(x + self.pointwise_bn(self.pointwise(y)))
        x = F.max_pool2d(x, 2)
        x = torch.cat([F.relu(self.narrow(x)), F.relu(self.wide(x))], 1)
        x = F.relu(self.mix_bn(self.mix(x)))
        return self.scores(x.mean((2, 3)))


def train(net: Net, x: Tensor, y: Tensor, epochs: int, seed: int) -> None:
    """Adam with a cosine schedule; each image is shifted by up to one pixel."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(net.parameters(), lr=5e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    net.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(50):
            dy, dx = torch.randint(0, 3, (2,), generator=generator).tolist()
            shifted = F.pad(x[batch], (1, 1, 1, 1))[:, :, dy : dy + 8, dx : dx + 8]
            optimiser.zero_grad()
            F.cross_entropy(net(shifted), y[batch], label_smoothing=0.05).backward()
            optimiser.step()
        schedule.step()
    net.eval()


def to_onnx(net: Net) -> onnx.ModelProto:
    """The trained net as an ONNX model, opset 17, with a free batch."""
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def add(op: str, inputs: list[str], name: str, **attributes: object) -> str:
        nodes.append(helper.make_node(op, inputs, [name], name=f"/{name}", **attributes))
        return name

    def parameter(name: str, tensor: Tensor) -> str:
        weights.append(numpy_helper.from_array(tensor.detach().numpy().astype(np.float32), name))
        return name

    def conv(x: str, name: str) -> str:
        layer: nn.Conv2d = getattr(net, name)
        k, p = layer.kernel_size, layer.padding[0]
        inputs = [x, parameter(f"{name}.weight", layer.weight)]
        if layer.bias is not None:
            inputs.append(parameter(f"{name}.bias", layer.bias))
        return add("Conv", inputs, name, kernel_shape=list(k), pads=[p] * 4, group=layer.groups)

    def norm(x: str, name: str) -> str:
        bn: nn.BatchNorm2d = getattr(net, name)
        parts = {"weight": bn.weight, "bias": bn.bias, "mean": bn.running_mean, "var": bn.running_var}
        inputs = [x, *(parameter(f"{name}.{k}", v) for k, v in parts.items() if v is not None)]
        return add("BatchNormalization", inputs, name, epsilon=bn.eps)

    stem = add("Relu", [norm(conv("input", "stem"), "stem_bn")], "stem_relu")
    bounds = [parameter("zero", torch.tensor(0.0)), parameter("six", torch.tensor(6.0))]
    y = add("Clip", [norm(conv(stem, "depthwise"), "depthwise_bn"), *bounds], "depthwise_relu6")
    y = add("Add", [stem, norm(conv(y, "pointwise"), "pointwise_bn")], "residual")
    x = add("MaxPool", [add("Relu", [y], "residual_relu")], "pool", kernel_shape=[2, 2], strides=[2, 2])
    branches = [add("Relu", [conv(x, name)], f"{name}_relu") for name in ("narrow", "wide")]
    x = conv(add("Concat", branches, "join", axis=1), "mix")
    x = add("GlobalAveragePool", [add("Relu", [norm(x, "mix_bn")], "mix_relu")], "average")
    gemm = [parameter("scores.weight", net.scores.weight), parameter("scores.bias", net.scores.bias)]
    add("Gemm", [add("Flatten", [x], "flat"), *gemm], "scores", transB=1)

    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 1, 8, 8])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 10])]
    graph = helper.make_graph(nodes, "digits", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="qir example")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the digits example and write it as ONNX.")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "digits.onnx")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    data = np.load(HERE / "digits.npz")
    x = {part: torch.tensor(data[f"{part}_x"][:, None] / 16, dtype=torch.float32) for part in ("train", "test")}
    y = {part: torch.tensor(data[f"{part}_y"].astype(np.int64)) for part in ("train", "test")}
    net = Net()
    train(net, x["train"], y["train"], args.epochs, args.seed)
    with torch.no_grad():
        accuracy = (net(x["test"]).argmax(1) == y["test"]).float().mean().item()
    args.output.write_bytes(to_onnx(net).SerializeToString())
    print(f"{args.output}: {accuracy:.2%} of the {len(y['test'])} test digits, {args.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
