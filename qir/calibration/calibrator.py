"""Calibration: one float run over the data finds the range of every quantizer.

The module runs without its fakes; each quantizer observes the values on all its edges. What is kept is one observer per
quantizer and one batch. Constants are not observed but searched directly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import attrs
import torch
from torch import Tensor

from qir.calibration.data import Batch, Feed, InputSpec, Record
from qir.calibration.observers import Histogram, MinMax, Moments, NotFinite
from qir.calibration.products import Product, product_of, sensitivity
from qir.calibration.ranges import FEW, METHODS, Reader, search_range, weight_range, widened
from qir.calibration.scales import quantize_scales
from qir.dialects.builtin import ModuleOp
from qir.dialects.qsim import FakeOp, QuantizerOp
from qir.interpreter import Plan
from qir.ir import Context, DictAttr, QirError, Trait, Value, fail, python_value
from qir.numerics import Scheme, product_scale, range_to_params, widen_for_bias
from qir.passes.progress import track
from qir.passes.quantize.queries import unquantized
from qir.target import constant_of, is_constant, node_name

__all__ = ["Method", "calibrate", "calibrate_constants"]


@attrs.frozen
class Method:
    """How ranges are found: `activations` is one of `METHODS`, `weights` minmax or mse, `p` the percentile, `spread`
    how many standard deviations a range reaches at least where fewer than `FEW` numbers were seen (not by minmax)."""

    activations: str = "mse"
    weights: str = "mse"
    p: float = 99.99
    spread: float = 0.0

    def of(self, quantizer: QuantizerOp) -> Method:
        """The quantizer's own wish (``observe(percentile, p = 99.9)``) goes before the job's."""
        wish = quantizer.observe
        if not isinstance(wish, DictAttr):
            return self
        words = {key: python_value(value) for key, value in wish.entries}
        method = str(words.get("method", self.activations))
        if method not in METHODS:
            hint = f"the methods are {', '.join(METHODS)}"
            raise quantizer.error(f"@{quantizer.sym_name} asks for the unknown method '{method}'", hint)
        p = float(words.get("p", self.p))
        if not 50.0 < p <= 100.0:
            raise quantizer.error(f"@{quantizer.sym_name} asks for the percentile {p}", "it lies between 50 and 100")
        return Method(method, "mse" if method == "mse" else "minmax", p, self.spread)


@attrs.define(eq=False)
class _Reader:
    """A product that reads a job's constant, and what is seen of its other operand."""

    product: Product
    moments: Moments

    def result(self) -> Reader | None:
        seen = self.moments.result()
        return None if seen is None else Reader(self.product.rows, self.product.groups, *seen)


@attrs.define(eq=False)
class _Job:
    """A quantizer to be calibrated: the values on its edges, and what was seen of them."""

    op: QuantizerOp
    scheme: Scheme
    method: Method
    values: list[Value] = attrs.field(factory=list)
    constants: list[Value] = attrs.field(factory=list)
    readers: list[_Reader] = attrs.field(factory=list)
    weights: tuple[Tensor, int] | None = None
    found: tuple[Tensor, Tensor] | None = None
    observer: MinMax | Histogram = attrs.field(init=False)
    seen: int = 0

    def __attrs_post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        simple = self.method.activations == "minmax" or not self.scheme.granularity.is_per_tensor
        self.observer = MinMax(self.scheme.granularity) if simple else Histogram(self.weights)
        self.seen = 0

    def see(self, x: Tensor, samples: int) -> None:
        self.seen += x.numel()
        if isinstance(self.observer, MinMax):
            self.observer.observe(x)
        else:
            self.observer.observe(x, samples)

    def range(self) -> tuple[Tensor, Tensor] | None:
        if isinstance(self.observer, MinMax):
            return self.observer.range()
        if self.observer.is_empty:
            return None
        found = search_range(self.observer, self.scheme, self.method.activations, self.method.p)
        few = self.method.spread > 0 and self.seen < FEW
        return widened(self.observer, found, self.method.spread) if few else found


def calibrate(
    module: ModuleOp, ctx: Context, records: Iterable[Record] | None, specs: list[InputSpec], method: Method,
    batch: int = 0, samples: int = 0, again: bool = False, device: str = "cpu",
) -> int:  # fmt: skip
    """Find the parameters of all quantizers that have none (with `again`, of all) and store them in the module.

    `records` is the data (None where no quantizer observes an activation), `batch` the samples that run at once where
    the model lets its batch free (0: chosen by size), `samples` the most that are read (0: all). Returns how many
    quantizers were calibrated. Raises QirError for data that does not fit, and for NaN or infinities in a value.
    """
    jobs = _jobs(module, method, again)
    active = [job for job in jobs if job.values or job.readers] if records is not None else []
    if records is None and any(job.values for job in jobs):
        count = sum(bool(job.values) for job in jobs)
        message = f"{count} quantizers observe activations, and there is no data"
        fail(module.location, message, "write calibrate{data=calib.npz}")
    if active and records is not None:
        _observe(module, ctx, active, records, specs, batch, samples, device)
    _store(module, ctx, jobs, again)
    _fit_biases(module, ctx, {job.op.sym_name for job in jobs})
    return len(jobs)


def calibrate_constants(
    module: ModuleOp, ctx: Context, method: Method, names: Collection[str], refit: Collection[str] = ()
) -> int:
    """Find the parameters of the quantizers `names` that have none, from the constants alone that are on their edges.

    `refit` are weight quantizers that may get a larger scale where the bias beside them would not fit its integers.
    Returns how many quantizers were calibrated. Raises QirError for NaN or infinities in a constant.
    """
    jobs = [job for job in _jobs(module, method, again=False) if job.op.sym_name in names and not job.values]
    _store(module, ctx, jobs, again=False)
    _fit_biases(module, ctx, {*names, *refit})
    return len(jobs)


def _store(module: ModuleOp, ctx: Context, jobs: list[_Job], again: bool) -> None:
    for job in jobs:
        _finish(job, ctx)
    quantize_scales(module, {job.op: job.found for job in jobs if job.found is not None and job.scheme.scale_by}, again)


# ---------------------------------------------------------------- what to observe
def _jobs(module: ModuleOp, method: Method, again: bool) -> list[_Job]:
    jobs: dict[str, _Job] = {}
    for op in module.body:
        if isinstance(op, QuantizerOp) and not op.dynamic and op.product is None and (again or op.scale is None):
            jobs[op.sym_name] = _Job(op, op.scheme, method.of(op))
    for op in module.walk():
        if isinstance(op, FakeOp) and op.observe:
            job = jobs.get(op.quantizer)
            if job is not None and not _seen_before(op):
                value = unquantized(op.x)  # a requantization observes what the quantizer before it does
                values = job.constants if is_constant(value) else job.values
                if value not in values:
                    values.append(value)
    for name in [name for name, job in jobs.items() if not job.values and not job.constants]:
        del jobs[name]
    for job in jobs.values():
        if job.method.weights == "mse" and not job.values:
            job.readers = _readers(job)
        if job.method.activations == "mse" and not job.constants and job.scheme.granularity.is_per_tensor:
            job.weights = sensitivity(job.values, job.op.sym_name)
            job.reset()
    return list(jobs.values())


def _readers(job: _Job) -> list[_Reader]:
    """Every reader of a job's constant, where all are products with a scale for each of their outputs; else none."""
    found: list[_Reader] = []
    if len(job.constants) != 1:
        return found
    for fake in job.constants[0].users:
        if isinstance(fake, FakeOp) and fake.quantizer == job.op.sym_name:
            for user in fake.y.users:
                product = product_of(user)
                if product is None or user.operands[1] is not fake.y or job.scheme.granularity.axis != product.outputs:
                    return []
                found.append(_Reader(product, Moments(product.axis)))
    return found


def _seen_before(fake: FakeOp) -> bool:
    """Whether the value holds only numbers that the same quantizer has observed: rearranged by the op before it."""
    op = fake.x.defining_op
    if op is None or not op.has_trait(Trait.SCALE_PRESERVING) or not op.operands:
        return False
    data = op.operands if op.name == "onnx.Concat" else op.operands[:1]
    before = [v.defining_op for v in data]
    return all(isinstance(b, FakeOp) and b.quantizer == fake.quantizer and b.observe for b in before)


# ---------------------------------------------------------------- the run
def _float_copy(module: ModuleOp) -> tuple[ModuleOp, dict[Value, Value]]:
    """The module without fakes, and where each of its values is in the copy."""
    mapping: dict[Value, Value] = {}
    copy = module.clone(mapping)
    for op in list(copy.walk()):
        if isinstance(op, FakeOp):
            op.y.replace_all_uses_with(op.x)
            op.erase()
    return copy, mapping


class _Broken(Exception):
    """A value that holds NaN or an infinity."""

    def __init__(self, value: Value, tensor: Tensor) -> None:
        self.value, self.tensor = value, tensor


def _observe(
    module: ModuleOp, ctx: Context, jobs: list[_Job], records: Iterable[Record], specs: list[InputSpec], batch: int,
    samples: int, device: str,
) -> None:  # fmt: skip
    copy, mapping = _float_copy(module)
    plan = Plan(copy, device=device)
    state = _State()
    watchers: dict[Value, list[_Job]] = {}
    for job in jobs:
        for value in job.values:
            watchers.setdefault(value, []).append(job)
    moments: dict[Value, Moments] = {}
    for job in jobs:
        for reader in job.readers:  # products that read the same value share what is seen of it
            reader.moments = moments.setdefault(reader.product.x, reader.moments)
    taps = {
        mapping[value]: _tap(value, watchers.get(value, []), moments.get(value), state)
        for value in {**watchers, **moments}
    }
    feed = Feed(records, specs, batch or _batch_size(specs), samples)
    try:
        _run(ctx, plan, taps, feed, state)
    except QirError:
        if state.batch is None or state.batch.count == 1 or state.batch.first != 0:
            raise
        # Many models say that their batch is free but reshape to a fixed one: the samples go one by one then.
        for job in jobs:
            job.reset()
        for seen in moments.values():
            seen.reset()
        feed = Feed(records, specs, 1, samples)
        _run(ctx, plan, taps, feed, state)
        message = "the model does not run on several samples at once: they were fed one by one"
        ctx.remark("analysis", module.location, message, "calibrate")
    if feed.ignored:
        names = ", ".join(feed.ignored)
        ctx.remark("analysis", module.location, f"the data's {names} is no input of the model: not used", "calibrate")


@attrs.define
class _State:
    batch: Batch | None = None


def _tap(value: Value, jobs: list[_Job], moments: Moments | None, state: _State) -> Any:
    def see(x: Tensor) -> None:
        assert state.batch is not None
        try:
            for job in jobs:
                job.see(x, state.batch.count)
            if moments is not None:
                moments.observe(x)
        except NotFinite:
            raise _Broken(value, x) from None

    return see


def _run(ctx: Context, plan: Plan, taps: Mapping[Value, Any], feed: Feed, state: _State) -> None:
    total = feed.total()
    with torch.inference_mode():
        for batch in _steps(ctx, feed, total):
            state.batch = batch
            try:
                plan.run({name: torch.from_numpy(_writable(a)) for name, a in batch.inputs.items()}, taps)
            except _Broken as broken:
                _report(broken, batch)


def _writable(array: Any) -> Any:
    return array if array.flags.writeable else array.copy()


def _steps(ctx: Context, feed: Feed, total: int | None) -> Iterator[Batch]:
    """The batches, with a progress step for each sample."""

    def samples() -> Iterator[Batch | None]:
        for batch in feed:
            yield batch
            yield from [None] * (batch.count - 1)

    for item in track(ctx, samples(), "calibrate", total):
        if item is not None:
            yield item


def _report(broken: _Broken, batch: Batch) -> None:
    value, x = broken.value, broken.tensor
    rows = x.reshape(batch.count, -1) if x.dim() and x.shape[0] == batch.count else None
    sample = batch.first
    if rows is not None:
        sample += int((~rows.isfinite().all(1)).nonzero()[0])
    what = "NaN" if bool(x.isnan().any()) else "an infinity"
    op = value.defining_op
    name = value.name or (node_name(op) if op is not None else "an input")
    where = op.location if op is not None else None
    fail(where, f"the value '{name}' holds {what} at sample {sample} of the calibration data ({batch.place})",
         "the float model gives it: leave the sample out, or exclude the operation")  # fmt: skip


def _batch_size(specs: list[InputSpec]) -> int:
    """Samples at once: enough for the kernels to be efficient, few enough that activations stay small."""
    largest = 1
    for spec in specs:
        count = 1
        for size in (spec.shape or ())[1:]:
            count *= size or 64
        largest = max(largest, count)
    return max(1, min(32, (1 << 19) // largest))


# ---------------------------------------------------------------- parameters
def _finish(job: _Job, ctx: Context) -> None:
    """Range, scale and zero point of one quantizer."""
    found = job.range() if job.values else None
    for value in job.constants:
        data = constant_of(value)
        assert data is not None
        w = torch.from_numpy(data.numpy().astype("float32"))
        if not bool(w.isfinite().all()):
            message = f"@{job.op.sym_name}: the constant '{value.name}' holds NaN or an infinity"
            raise job.op.error(message, "mend the model")
        readers = [r for r in (reader.result() for reader in job.readers) if r is not None]
        lo, hi = weight_range(w, job.scheme, job.method.weights, readers)
        found = (lo, hi) if found is None else (torch.minimum(found[0], lo), torch.maximum(found[1], hi))
    if found is None:
        ctx.warning(job.op.location, f"@{job.op.sym_name} saw no values: it stays without a scale")
        return
    job.found = lo, hi = found
    if job.values:
        job.op.set_range(lo.numpy(), hi.numpy())
    if job.scheme.zero_by is not None:
        message = f"@{job.op.sym_name}: calibrate finds no zero points that are quantized themselves (zero_by)"
        raise job.op.error(message, "write scale(…) and zero(…) by hand")
    if job.scheme.scale_by is not None:
        return  # after all others: several may name one quantizer of scales
    scale, zero = range_to_params(lo, hi, job.scheme)
    job.op.set_parameters(scale.numpy(), None if zero is None or job.scheme.symmetric else zero.numpy())


def _fit_biases(module: ModuleOp, ctx: Context, fresh: set[str]) -> None:
    """Weight scales, made larger where a bias would not fit its integers: ``|b| <= s_x s_w factor qmax``.

    Channels whose weights are all but zero have tiny scales. Only scales found in this run are changed.
    """
    quantizers = {op.sym_name: op for op in module.body if isinstance(op, QuantizerOp)}
    for op in module.walk():
        if not isinstance(op, FakeOp):
            continue
        bias = quantizers.get(op.quantizer)
        data = constant_of(op.x)
        if bias is None or data is None or (product := bias.scheme.product) is None or product.w not in fresh:
            continue
        x, w = quantizers.get(product.x), quantizers.get(product.w)
        if x is None or w is None or x.scale is None or w.scale is None:
            continue
        x_scale, w_scale = torch.from_numpy(x.scale.numpy().copy()), torch.from_numpy(w.scale.numpy().copy())
        b = torch.from_numpy(data.numpy().astype("float32"))
        wider = widen_for_bias(w_scale, x_scale, b, bias.scheme, product.factor)
        if not torch.equal(wider, w_scale):
            count = int((wider != w_scale).sum())
            zero = w.zero
            w.set_parameters(wider.numpy(), None if zero is None else zero.numpy())
            why = f"so that the bias '{op.x.name}' fits its integers"
            message = f"@{product.w}: the scale of {count} channels is larger, {why}"
            ctx.remark("analysis", op.location, message, "calibrate")
        try:
            product_scale(x_scale, wider, product.factor)
        except ValueError as error:
            raise bias.error(f"@{bias.sym_name}: {error}", "exclude the operation") from None
