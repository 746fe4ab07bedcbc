"""The condition tester's data, and the remarks on conditions."""

from __future__ import annotations

import pytest

from fnkit.inference_graph import gjson

BODY = b'{"people":[{"name":"Tom","age":37},{"name":"Ann","age":"41"},7],"a.b":{"x":1},"a":{"y":0},"a":{"y":1}}'


def _shown(path: str, document: bytes = BODY) -> list[tuple[str, str, str]]:
    return [(part.text, part.kind, part.result.raw) for part in gjson.explain(document, path).parts]


def test_each_key_and_index_shows_what_it_found() -> None:
    assert _shown("people.0.name") == [
        ("people", "key", '[{"name":"Tom","age":37},{"name":"Ann","age":"41"},7]'),
        ("0", "index", '{"name":"Tom","age":37}'),
        ("name", "key", '"Tom"'),
    ]


def test_a_query_shows_what_its_left_side_found_in_each_element() -> None:
    query = gjson.explain(BODY, "people.#(age>40)#|#").parts[1]

    assert query.kind == "query"
    assert [(trial.index, trial.left.raw, trial.matched) for trial in query.trials] == [
        (0, "37", False),
        (1, '"41"', True),
        (2, "", False),
    ]


def test_a_query_for_one_element_stops_at_it_and_goes_on_inside() -> None:
    parts = gjson.explain(BODY, 'people.#(name=="Tom").age').parts

    assert [(part.text, part.result.raw) for part in parts[1:]] == [('#(name=="Tom")', '{"name":"Tom","age":37}'), ("age", "37")]
    assert len(parts[1].trials) == 1


def test_what_finds_nothing_says_why_and_ends_the_parts() -> None:
    assert [part.note for part in gjson.explain(BODY, "people.9.name").parts] == ["", "the array has 3 elements"]
    assert gjson.explain(BODY, "peple.0").parts[-1].note == "there is no such key"
    assert gjson.explain(BODY, "p?.0").parts[-1].note == "no key matches"
    assert gjson.explain(BODY, "people.name").parts[-1].note.startswith("this is an array")
    assert gjson.explain(BODY, "people.2.x").parts[-1].note == "there is no object or array to look into"


def test_a_repeated_key_shows_the_one_that_leads_on() -> None:
    assert _shown("a*.x") == [("a*", "pattern", '{"x":1}'), ("x", "key", "1")]
    assert _shown("a.y")[0] == ("a", "key", '{"y":0}')


def test_modifiers_literals_and_pipes_show_their_outcome() -> None:
    assert _shown("people.#.name|@reverse|0") == [
        ("people", "key", '[{"name":"Tom","age":37},{"name":"Ann","age":"41"},7]'),
        ("#.name", "each", '["Tom","Ann"]'),
        ("@reverse", "modifier", '["Ann","Tom"]'),
        ("0", "index", '"Ann"'),
    ]
    assert _shown("!true") == [("!true", "literal", "true")]


def test_a_multipath_explains_each_of_its_paths() -> None:
    part = gjson.explain(BODY, '{"n":people.#,zzz}').parts[0]

    assert (part.text, part.kind, part.result.raw) == ('{"n":people.#,zzz}', "multipath", '{"n":3}')
    assert [(inner.path, inner.result.raw) for inner in part.inner] == [("people.#", "3"), ("zzz", "")]


def test_json_lines_are_explained_as_a_list() -> None:
    assert _shown("..1.a", b'{"a":1}\n{"a":2}') == [("1", "index", '{"a":2}'), ("a", "key", "2")]


def test_the_verdict_is_the_routers() -> None:
    assert gjson.explain(BODY, "people").matches
    assert not gjson.explain(BODY, "nobody").matches
    assert not gjson.explain(BODY + b"x", "people").matches


@pytest.mark.parametrize(
    ("path", "codes"),
    [
        ("instances.0.name", []),
        ('[@this].#(predictions.0.label=="dog")', []),
        ("[@this].#(a>1)|[@this].#(b<2)", []),
        ("instances.#(strval%*red-server*)", []),
        ("[@this].#(n>=1e3)", []),
        ("[@this].#(n==~true)", []),
        ("", ["empty"]),
        ("[@this].#(instances.0.data>0.5 && instances.0.data<=0.9)", ["logic"]),
        ("a.#(b==1", ["unclosed"]),
        ("[@this.#(a==1)", ["unclosed"]),
        ("[@this]#(a==1)", ["dropped"]),
        ("a.@revers", ["unknown-modifier"]),
        ('predictions.0.label=="dog"', ["comparison"]),
        ("a.b>1", ["comparison"]),
        ("a && b", ["comparison"]),
        (r"a\=b", []),
        ("predictions[0].label", ["subscript"]),
        ("$.predictions", ["jsonpath"]),
        ("a.#(b!44)", ["operator"]),
        ("[@this].#(data>abc)", ["number"]),
        ("a.#(b==~yes)", ["tilde"]),
        ("a.#(b=='x')", ["quotes"]),
        ("{ .input.userId == 1 }", ["comparison", "always-true"]),
        ("[a,b]", ["always-true"]),
        ("!true", ["always-true"]),
        ("@keys", ["always-true"]),
        ("people.#(age>40)#", ["always-true"]),
        ("people.#.name", ["always-true"]),
    ],
)
def test_conditions_that_mean_something_else_get_a_remark(path: str, codes: list[str]) -> None:
    assert [remark.code for remark in gjson.remarks(path)] == codes


def test_a_remark_says_what_to_write_instead() -> None:
    (remark,) = gjson.remarks("people.#.name")

    assert "always true" in str(remark)
    assert "[@this].#(a==1)" in remark.hint
