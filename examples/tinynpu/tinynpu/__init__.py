"""tinynpu, a made-up accelerator: int8, scales that are powers of two, requantization by a shift."""

from qir.target import Runtime, Target, late

from .rules import RULES, SCHEMES

TARGET = Target(
    name="tinynpu",
    title="a made-up int8 accelerator with power-of-two scales",
    dialect="tinynpu",
    schemes=SCHEMES,
    rules=RULES,
    io=("float", "integer"),
    pipeline="inline,canonicalize,shape-inference,fold-batch-norm,decompose,canonicalize,cse,annotate{target=tinynpu},"
    "calibrate{data={data}},materialise,lower{target=tinynpu},verify-target{target=tinynpu}",
    patterns=late("tinynpu.patterns:patterns"),
    export=late("tinynpu.export:export"),
    runtime=Runtime("the tinynpu simulator", "pip install tinynpu", late("tinynpu.chip:version"),
                    late("tinynpu.chip:run"), suffixes=(".tnpu",), isolated=False),
)  # fmt: skip
