"""Go's regular expressions, in Python's."""

from __future__ import annotations

import pytest

from fnkit.inference_graph.go_regexp import compile_pattern


@pytest.mark.parametrize(
    "pattern",
    ["*Trace-Id*", "Test-[0-9", "(?=X)", "(?!X)", "(?<=X)y", r"(X)\1", "X*+", "X++", "(?>X)", "(?P=n)", "X{1001}", r"X\Z", "(?#c)X",
     "(X", "a**", "(?x)a", "X)", "|*", "(*)", "x???", "x{2}{3}", "x{2,1}", "[", "[z-a]", "[[:foo:]]", "[a-\\d]", r"\8", r"\e", r"\p{Foo}",
     r"\x{110000}", r"\C", "\\", "(?i", "(?-)", "(?P<n"],
)  # fmt: skip
def test_a_pattern_that_go_does_not_know_is_skipped(pattern: str) -> None:
    assert compile_pattern(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        (r"^X-Request-Id\z", "X-Request-Id", True),
        (r"\QX-A.B\E", "X-A.B", True),
        (r"\QX.A\E", "X-A", False),
        ("(?i)x-request-id", "X-Request-Id", True),
        ("(?<n>X)-A", "X-A", True),
        ("X-[[:alpha:]]+$", "X-Abc", True),
        ("X-[[:digit:]]+$", "X-Abc", False),
        ("[*+]|Y", "Y", True),
        ("X{1,1000}", "X", True),
        ("a{,2}", "a{,2}", True),
        ("a{,2}", "aa", False),
        ("", "Anything", True),
        ("X|(?i)a", "A", True),
        ("(X(?i)a|y)Z", "YZ", True),
        ("(X(?i)a|y)Z", "Yz", False),
        ("(?i:x)-a", "X-A", False),
        ("(?i)X-(?-i)a", "x-A", False),
        (r"(?U)^X.*", "X-A", True),
        (r"\x{58}-\x41", "X-A", True),
        (r"\101", "A", True),
        (r"^\pL+$", "Abc", True),
        (r"^\PL+$", "Abc", False),
        (r"\p{Greek}", "Abc", False),
        (r"(?i)^\p{Lu}$", "a", True),
        ("[[:^alpha:]]", "X-A", True),
        ("[[:^alpha:]]", "Abc", False),
        ("^[]a]$", "]", True),
        ("^[a&&b~~|[]+$", "[", True),
        ("^*X", "X", True),
        ("x{a", "x{a", True),
        ("(?P<n>X)(?P<n>-)", "X-", True),
        (r"\QX-", "X-A", True),
    ],
)
def test_patterns_mean_what_they_mean_in_go(pattern: str, name: str, matches: bool) -> None:
    compiled = compile_pattern(pattern)

    assert compiled is not None
    assert bool(compiled.search(name)) is matches
