"""Which headers reach the services."""

from __future__ import annotations

import pytest

from fnkit.inference_graph.headers import canonical, patterns_of, propagation


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("x-request-id", "X-Request-Id"),
        ("X-B3-TraceId", "X-B3-Traceid"),
        ("my_header", "My_header"),
        ("a--b", "A--B"),
        ("ünicode", "ünicode"),
        ("a b", "a b"),
        ("", ""),
    ],
)
def test_names_have_gos_canonical_form(name: str, form: str) -> None:
    assert canonical(name) == form


def test_nothing_passes_when_the_variable_is_not_set() -> None:
    assert propagation(patterns_of(None))([("X-A", "1")]) == ()


def test_everything_but_the_framing_passes_when_the_variable_is_empty() -> None:
    headers = [("host", "h"), ("content-length", "1"), ("transfer-encoding", "chunked"), ("trailer", "t"), ("x-a", "1")]

    assert propagation(patterns_of(""))(headers) == (("X-A", "1"),)


def test_blanks_around_a_comma_belong_to_the_pattern() -> None:
    select = propagation(patterns_of("X-A, X-B"))

    assert select([("X-A", "1"), ("X-B", "2")]) == (("X-A", "1"),)


def test_all_values_of_a_header_pass_once_however_many_patterns_match() -> None:
    select = propagation(patterns_of("X,X-A,^X"))

    assert select([("x-a", "1"), ("X-a", "2"), ("y", "3")]) == (("X-A", "1"), ("X-A", "2"))
