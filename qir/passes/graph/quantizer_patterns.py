"""What may be folded around quantizers: only repetitions by one and the same static quantizer."""

from __future__ import annotations

from qir.ir import Value
from qir.rewrite import Match, Node, Quantizer, Rewriter, decode, encode, fake, pattern

__all__ = ["QUANTIZERS"]


@pattern
def fold_repeated_fake(x: Value, q: Quantizer) -> Node:
    """fake(fake(x) by @q) by @q = fake(x) by @q: what lies on the grid stays there, when the grid is static.

    By two quantizers it is a requantization and stays.
    """
    return fake(fake(x, q).shared().bind("inner"), q)


@pattern
def fold_encode_of_decode(i: Value, q: Quantizer) -> Node:
    """encode(decode(i) by @q) by @q = i. The other way round is never folded: it is the error that we measure."""
    return encode(decode(i, q).shared(), q)


def _static(m: Match) -> bool:
    return m.quantizer("q").attributes.get("dynamic") is None


fold_repeated_fake.where("the quantizer is dynamic", _static)
fold_encode_of_decode.where("the quantizer is dynamic", _static)
fold_encode_of_decode.where("the types differ", lambda m: m.i.type == m.root.result.type)


@fold_repeated_fake.rewrite
def _(m: Match, rewriter: Rewriter) -> Value:
    inner: Value = m.inner.results[0]
    return inner


@fold_encode_of_decode.rewrite
def _(m: Match, rewriter: Rewriter) -> Value:
    codes: Value = m.i
    return codes


QUANTIZERS = [fold_repeated_fake, fold_encode_of_decode]
