"""onnxruntime's CPU provider on x86-64: QDQ models that it turns into integer kernels, and these kernels exactly.

`TARGET` is the data sheet with everything around it; what needs torch, onnx or onnxruntime is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qir.lowering.onnxruntime.rules import RULES, SCHEMES
from qir.target import Artifact, Runtime, Target

if TYPE_CHECKING:
    from qir.dialects.builtin import ModuleOp
    from qir.ir import Context

__all__ = ["TARGET"]


def _patterns() -> Any:
    from qir.lowering.onnxruntime.patterns import lowering_patterns

    return lowering_patterns()


def _export(module: ModuleOp, ctx: Context, folder: str | Path, name: str, **options: Any) -> Sequence[Artifact]:
    from qir.lowering.onnxruntime.export import export

    return export(module, ctx, folder, name, **options)


def _verify(module: ModuleOp, ctx: Context) -> None:
    from qir.lowering.onnxruntime.verify import verify_lowered

    verify_lowered(module, ctx)


def _version() -> str | None:
    from qir.lowering.onnxruntime.runtime import version

    return version()


def _run(path: Path, inputs: Mapping[str, Any]) -> dict[str, Any]:
    from qir.lowering.onnxruntime.runtime import run

    return run(path, inputs)


TARGET = Target(
    name="onnxruntime",
    title="onnxruntime's CPU provider on x86-64, as QDQ or integer-operator ONNX",
    dialect="onnxruntime",
    schemes=SCHEMES,
    rules=RULES,
    pipeline=(
        "inline,canonicalize,shape-inference,fold-batch-norm,decompose,canonicalize,cse,cross-layer-equalization,annotate{target=onnxruntime},calibrate{data={data}},"
        "materialise,lower-to-onnxruntime,verify-target{target=onnxruntime}"
    ),
    formats={"qdq": "", "qoperator": "onnxruntime-fuse"},
    level="materialised",
    patterns=_patterns,
    export=_export,
    runtime=Runtime("onnxruntime", "pip install onnxruntime", _version, _run),
    opset={"ai.onnx": 13},
    verify=_verify,
    notes=(
        "The runtime fuses when it loads the model, from level EXTENDED on; onnxruntime-fuse is that fusion.",
        "Integer kernels are simulated bit for bit on CPUs with VNNI; without, uint8 times int8 saturates.",
    ),
)
