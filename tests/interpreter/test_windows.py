"""Sums over windows, in the order in which kernels add."""

from __future__ import annotations

import numpy as np
import torch

from qir.interpreter.windows import average, lane_sums, window_sums


def test_windows_are_summed_element_by_element() -> None:
    """Float32 sums in another order differ: the large numbers cancel only in this one."""
    x = torch.tensor([[[[1e8, 1.0, -1e8, 1.0]]]])
    assert window_sums(x, (1, 4), (1, 1), (0, 0, 0, 0), (1, 1)).item() == 1.0
    padded = window_sums(x, (1, 2), (1, 2), (0, 1, 0, 0), (1, 3))
    assert padded.flatten().tolist() == [1e8, -1e8, 1.0]


def test_four_lanes_are_added_crosswise_and_the_rest_comes_last() -> None:
    rng = np.random.default_rng(0)
    for count in (3, 4, 18, 49):
        v = (rng.normal(size=(2, 3, count)) * 10.0 ** rng.integers(-3, 4, count)).astype(np.float32)
        lanes = np.zeros((2, 3, 4), np.float32)
        for i in range(count // 4 * 4):
            lanes[..., i % 4] += v[..., i]
        want = (lanes[..., 0] + lanes[..., 2]) + (lanes[..., 1] + lanes[..., 3])
        for i in range(count // 4 * 4, count):
            want = want + v[..., i]
        np.testing.assert_array_equal(lane_sums(torch.from_numpy(v)[..., None]).numpy(), want)


def test_averages_count_what_they_sum() -> None:
    """Padding counts where it is asked for, what lies beyond the end of a rounded-up window never does."""
    x = torch.arange(1.0, 6.0).reshape(1, 1, 1, 5)
    options = {"ceil": True, "include_pads": False, "inverse": False}
    assert average(x, (1, 2), (1, 2), (0, 0, 0, 0), **options).flatten().tolist() == [1.5, 3.5, 5.0]
    options["ceil"] = False
    assert average(x, (1, 2), (1, 2), (0, 0, 0, 0), **options).flatten().tolist() == [1.5, 3.5]
    assert average(x, (1, 3), (1, 1), (0, 1, 0, 1), **options).flatten().tolist() == [1.5, 2.0, 3.0, 4.0, 4.5]
    options["include_pads"] = True
    assert average(x, (1, 3), (1, 1), (0, 1, 0, 1), **options).flatten().tolist() == [1.0, 2.0, 3.0, 4.0, 3.0]


def test_the_inverse_of_a_count_is_another_number() -> None:
    x = torch.tensor([1.0, 4.0, 2.0]).reshape(1, 1, 1, 3)
    divided, times = (
        average(x, (1, 3), (1, 1), (0, 0, 0, 0), ceil=False, include_pads=True, inverse=inverse).item()
        for inverse in (False, True)
    )
    assert divided == np.float32(7) / np.float32(3)
    assert times == np.float32(7) * (np.float32(1) / np.float32(3))
    assert divided != times
