"""The target chipname."""

from qir.target import Runtime, Target, late

from .rules import RULES, SCHEMES

TARGET = Target(
    name="chipname",
    title="a chip that computes Conv, Gemm and Add on int8",
    dialect="chipname",
    schemes=SCHEMES,
    rules=RULES,
    io=("float", "integer"),
    pipeline="inline,canonicalize,shape-inference,fold-batch-norm,decompose,canonicalize,cse,annotate{target=chipname},"
    "calibrate{data={data}},materialise,lower{target=chipname},verify-target{target=chipname}",
    patterns=late("chip_package.patterns:patterns"),
    export=late("chip_package.export:export"),
    runtime=Runtime("the chipname simulator", "pip install chip_package", late("chip_package.chip:version"),
                    late("chip_package.chip:run"), suffixes=(".chipname",), isolated=False),
)  # fmt: skip
