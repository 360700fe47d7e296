"""The clock: named parts that sum to the wall time, and repeated timing."""

import pytest

from equibench.machine.clock import Clock, repeat


def test_clock_parts_sum_to_the_wall_time():
    ticks = iter([0.0, 1.0, 4.0, 6.0, 7.5, 10.0])
    clock = Clock(now=lambda: next(ticks))
    with clock.part("train"):
        pass
    with clock.part("sample"):
        pass
    assert clock.seconds() == {"train": 3.0, "sample": 1.5, "other": 5.5, "wall": 10.0}


def test_clock_goes_on_from_what_was_before():
    ticks = iter([10.0, 11.0, 13.0, 14.0, 15.0])
    clock = Clock(now=lambda: next(ticks), before={"start": 4.0})
    with clock.part("train"):
        pass
    assert clock.elapsed("start") == 4.0
    assert clock.seconds() == {"start": 4.0, "train": 2.0, "other": 3.0, "wall": 9.0}


def test_clock_parts_do_not_nest():
    clock = Clock()
    with clock.part("a"), pytest.raises(RuntimeError, match="inside"), clock.part("b"):
        pass


def test_repeat_drops_the_warm_up_and_stops_at_the_limit():
    now = [0.0]
    costs = iter([100.0, 1.0, 2.0, 3.0, 4.0])

    def call():
        now[0] += next(costs)

    taken = repeat(call, lambda: None, warmup=1, repeats=10, limit_sec=5.5, now=lambda: now[0])
    assert taken == [1.0, 2.0, 3.0]


def test_a_device_that_fails_at_the_edge_of_a_part_leaves_no_part_open():
    """A GPU tells of an error in queued work where it is waited for."""
    waits = iter([RuntimeError("at the start"), None, RuntimeError("at the end"), None, None])

    def synchronize():
        if (error := next(waits)) is not None:
            raise error

    time = iter(range(100))
    clock = Clock(lambda: next(time), synchronize)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="at the"), clock.part("sample"):
            pass
    with clock.part("speed"):
        pass
    assert "speed" in clock.seconds()
