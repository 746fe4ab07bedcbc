import json

from fnkit.deploy.placeholders import ANYWHERE, is_placeholder, placeholder, resolve


def test_a_placeholder_alone_becomes_a_reference_or_an_attribute() -> None:
    assert resolve(placeholder("Bucket"), {}) == {"Ref": "Bucket"}
    assert resolve(placeholder("Role.Arn"), {}) == {"Fn::GetAtt": ["Role", "Arn"]}
    assert resolve(placeholder("AWS::Region"), {}) == {"Ref": "AWS::Region"}


def test_a_placeholder_within_a_text_is_substituted_and_nothing_else_in_it_is() -> None:
    text = f"arn:aws:sqs:{ANYWHERE.region}:{ANYWHERE.number}:jobs ${{HOME}}"

    assert resolve(text, {}) == {"Fn::Sub": "arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:jobs ${!HOME}"}


def test_texts_without_placeholders_stay_as_they_are() -> None:
    document = {"a": ["${HOME}", 1, True, None, 2.5], "b": ("x",)}

    assert resolve(document, {}) == {"a": ["${HOME}", 1, True, None, 2.5], "b": ["x"]}


def test_known_texts_are_replaced_as_a_whole_wherever_they_stand() -> None:
    assert resolve({"a": [{"b": "theirs"}, "not theirs"]}, {"theirs": {"Ref": "Ours"}}) == {
        "a": [{"b": {"Ref": "Ours"}}, "not theirs"]
    }


def test_a_placeholder_passes_through_json() -> None:
    text = json.dumps({"url": f"https://sqs.{ANYWHERE.region}.{ANYWHERE.domain}/"})

    assert resolve(text, {}) == {"Fn::Sub": '{"url": "https://sqs.${AWS::Region}.${AWS::URLSuffix}/"}'}


def test_only_a_whole_placeholder_is_one() -> None:
    assert is_placeholder(placeholder("KafkaSecret"))
    assert not is_placeholder(f"x{placeholder('KafkaSecret')}")
    assert not is_placeholder("")
