"""A function that is throttled is left alone for a while."""

from __future__ import annotations

from fnkit.functions.breaker import LONGEST_REST_S, Breaker


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock, threshold: int = 3) -> Breaker:
    breaker = Breaker(threshold=threshold, clock=clock)
    for _ in range(threshold):
        breaker.throttled()
    return breaker


def test_some_throttles_open_the_breaker() -> None:
    breaker = Breaker(threshold=3, clock=Clock())

    said = [breaker.throttled() for _ in range(3)]

    assert said == [False, False, True]
    assert breaker.rest_s() == 1.0


def test_an_answer_in_between_starts_the_count_anew() -> None:
    breaker = Breaker(threshold=2, clock=Clock())
    breaker.throttled()

    breaker.answered()

    assert breaker.throttled() is False


def test_after_the_rest_one_caller_may_try_and_the_others_wait() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 1.1

    assert [breaker.rest_s() > 0 for _ in range(3)] == [False, True, True]


def test_each_further_throttle_doubles_the_rest_up_to_a_limit() -> None:
    clock = Clock()
    breaker = opened(clock)
    rests = []
    for _ in range(7):
        clock.now += 100
        breaker.rest_s()
        breaker.throttled()
        rests.append(breaker.rest_s())

    assert rests == [2.0, 4.0, 8.0, 16.0, LONGEST_REST_S, LONGEST_REST_S, LONGEST_REST_S]


def test_an_answer_closes_the_breaker() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 2
    breaker.rest_s()

    breaker.answered()

    assert breaker.rest_s() == 0.0


def test_a_breaker_without_a_threshold_never_opens() -> None:
    breaker = Breaker(threshold=0)

    assert not any(breaker.throttled() for _ in range(100))
    assert breaker.rest_s() == 0


def test_the_first_rest_can_be_chosen_and_is_the_first_again_after_an_answer() -> None:
    breaker = Breaker(threshold=1, rest_s=40, clock=lambda: 0.0)

    breaker.throttled()
    first = breaker.rest_s()
    breaker.throttled()
    second = breaker.rest_s()
    breaker.answered()
    breaker.throttled()

    assert (first, second, breaker.rest_s()) == (40, 40, 40)  # never longer than the longest, or than what was asked for
