from hypothesis import given
from hypothesis import strategies as st

from fnkit.deploy.naming import PREFIX_LIMIT, function_prefix, role_name

_stages = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,15}", fullmatch=True)


def test_a_short_plain_name_is_kept() -> None:
    assert function_prefix("chat", "dev") == "chat-dev-"


@given(graph=st.text(min_size=1, max_size=80), stage=_stages)
def test_every_prefix_leaves_room_for_a_functions_name_and_is_legal(graph: str, stage: str) -> None:
    prefix = function_prefix(graph, stage)

    assert len(prefix) <= PREFIX_LIMIT
    assert len(prefix + "x" * 40) <= 64
    assert len(role_name(prefix)) <= 64
    assert all(char.isascii() and (char.isalnum() or char == "-") for char in prefix)


def test_names_that_are_cut_or_cleaned_stay_apart() -> None:
    graphs = ("a-very-long-name-of-a-graph-1", "a-very-long-name-of-a-graph-2", "a.b", "a b", "a-b")

    assert len({function_prefix(graph, "dev") for graph in graphs}) == len(graphs)


def test_a_prefix_is_the_same_each_time() -> None:
    assert function_prefix("a-very-long-name-of-a-graph", "dev") == "a-very-long-name-3e9ec2-"
