"""When a process that died is started again."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.process import MAX_DEATHS, Restarts


def test_the_pause_doubles_up_to_a_minute() -> None:
    """A process that cannot start must not keep the machine busy."""
    restarts = Restarts()

    assert [restarts.died(0.5) for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_process_that_ran_for_three_minutes_starts_anew() -> None:
    """Deaths that are far apart have nothing to do with each other.

    The container is healthy again earlier: once the process has run for half a minute.
    """
    restarts = Restarts()
    for _ in range(MAX_DEATHS):
        restarts.died(1.0)
    assert restarts.keeps_dying(0.0)
    assert restarts.keeps_dying(29.0)
    assert not restarts.keeps_dying(30.0)
    assert restarts.died(179.0) > 1

    assert restarts.died(180.0) == 1
    assert not restarts.keeps_dying(0.0)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=3000))
def test_every_pause_is_between_a_second_and_a_minute(runs: list[float]) -> None:
    """The pause has bounds, however often and however soon the process dies."""
    restarts = Restarts()

    assert all(1 <= restarts.died(ran) <= 60 for ran in runs)
