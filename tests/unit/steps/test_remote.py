"""Steps that call other services."""

from __future__ import annotations

import threading

import pytest

from fnkit.engine import Context, Event
from fnkit.errors import GraphError, MLRunInvalidArgumentError
from fnkit.manifest.model import Step
from fnkit.net.errors import NetError
from fnkit.steps import Remote, RemoteStep
from tests.fakes.flows import answer, chain, running
from tests.fakes.web import Asked, Web, web


def echo(asked: Asked) -> tuple[int, object]:
    body = asked.json() if asked.body else None
    return 200, {"method": asked.method, "path": asked.path, "body": body}


def call(
    site: Web | str, body: object = None, *, event: dict[str, object] | None = None, kind: str = "RemoteStep", **args: object
) -> object:
    url = {"url": site.url} if isinstance(site, Web) else {"url": site} if site else {}
    step = Step("r", target=f"fnkit.steps:{kind}", args={**url, "retries": 0, **args})
    flow = chain(step)

    async def use() -> object:
        try:
            return await flow.run(Event(body, id="E1", **(event or {})))  # type: ignore[arg-type]  # fields of Event
        finally:
            await flow.close()

    return running(use)


def test_the_body_is_sent_as_json_with_the_events_identity() -> None:
    with web(echo) as site:
        result = call(site, {"a": 1}, event={"path": "/x"})

    assert result == {"method": "POST", "path": "/", "body": {"a": 1}}
    sent = site.asked[0].headers
    assert (sent["content-type"], sent["mlrun-event-id"], sent["mlrun-event-path"]) == ("application/json", "E1", "/x")


def test_the_key_of_the_visit_and_the_trace_go_along_but_never_instead_of_what_the_user_says() -> None:
    traced: dict[str, object] = {"headers": {"Traceparent": "00-1-2-01", "X-Amzn-Trace-Id": "Root=1", "Cookie": "secret"}}
    with web(echo) as site:
        call(site, 1, event=traced)
        call(site, 1, event=traced, headers={"idempotency-key": "mine", "TRACEPARENT": "00-mine"})
        call(site, None, event={**traced, "method": "GET"})

    sent, own, get = (asked.headers for asked in site.asked)
    assert (sent["idempotency-key"], sent["traceparent"], sent["x-amzn-trace-id"]) == ("E1/r/1", "00-1-2-01", "Root=1")
    assert (own["idempotency-key"], own["traceparent"]) == ("mine", "00-mine")
    assert (get["traceparent"], "idempotency-key" in get) == ("00-1-2-01", False)
    assert "cookie" not in sent


def test_each_element_of_a_batch_has_a_key_of_its_own() -> None:
    with web(echo) as site:
        call(site, [{"a": 1}, {"a": 2}], kind="BatchHttpRequests")

    assert sorted(asked.headers["idempotency-key"] for asked in site.asked) == ["E1/r/1/0", "E1/r/1/1"]


def test_a_get_has_no_body_and_the_events_method_is_taken_over() -> None:
    with web(echo) as site:
        result = call(site, {"a": 1}, event={"method": "GET"})

    assert result == {"method": "GET", "path": "/", "body": None}


def test_the_events_path_can_be_appended() -> None:
    with web(echo) as site:
        result = call(site, None, subpath="v1/$path", event={"path": "/cats/7"})

    assert isinstance(result, dict)
    assert result["path"] == "/v1/cats/7"


def test_expressions_make_url_body_and_headers() -> None:
    with web(echo) as site:
        result = call(
            site,
            {"city": "Rome", "key": "K"},
            url_expression="endpoint + '/' + event['city']",
            body_expression="{'q': event['city']}",
            headers_expression="{'x-key': event['key']}",
            headers={"x-fixed": "F"},
        )

    assert result == {"method": "POST", "path": "/Rome", "body": {"q": "Rome"}}
    assert (site.asked[0].headers["x-key"], site.asked[0].headers["x-fixed"]) == ("K", "F")


def test_an_expression_can_give_the_whole_url() -> None:
    with web(echo) as site:
        assert call("", {"u": f"{site.url}/there"}, url_expression="event['u']", method="PUT") == {
            "method": "PUT",
            "path": "/there",
            "body": {"u": f"{site.url}/there"},
        }


def test_paths_choose_what_is_sent_and_where_the_answer_goes() -> None:
    with web(lambda asked: (200, asked.json())) as site:
        step = Step("r", target="fnkit.steps:Remote", args={"url": site.url}, input_path="in", result_path="out")

        assert answer(chain(step), {"in": [1], "kept": True}) == {"in": [1], "kept": True, "out": [1]}


def test_answers_may_stay_bytes() -> None:
    with web(lambda _: (200, b"\xff\x00")) as site:
        assert call(site, return_json=False) == b"\xff\x00"


def test_an_answer_that_says_it_is_json_is_read_as_json() -> None:
    with web(lambda _: (200, {"a": 1})) as site:
        assert call(site, return_json=False) == {"a": 1}


@pytest.mark.parametrize(
    ("body", "expression", "sent"),
    [
        ("text", "", ("text/plain; charset=utf-8", b"text")),
        (b"\xff", "", ("application/octet-stream", b"\xff")),
        ([1], "", ("application/json", b"[1]")),
        ({"t": "text"}, "event['t']", ("application/json", b'"text"')),
        ({"t": None}, "event['t']", ("application/json", b"null")),
        ("text", "event + '!'", ("text/plain; charset=utf-8", b"text!")),
    ],
)
def test_a_body_is_sent_with_what_it_is(body: object, expression: str, sent: tuple[str, bytes]) -> None:
    with web(lambda _: (200, "{}")) as site:
        call(site, body, body_expression=expression)
        call(site, body, body_expression=expression, headers={"content-type": "own/type"})

    plain, own = site.asked
    assert (plain.headers["content-type"], plain.body) == sent
    assert own.headers["content-type"] == "own/type"


def test_failures_are_repeated_and_then_forgotten() -> None:
    statuses = [503, 500, 200]
    with web(lambda _: (statuses.pop(0), "{}")) as site:
        assert call(site, retries=2, backoff_factor=0) == {}

    assert len(site.asked) == 3


def test_a_status_of_500_is_an_error_after_the_last_attempt() -> None:
    with web(lambda _: (500, "broken")) as site, pytest.raises(RuntimeError, match=r"^bad http response 500: broken$") as caught:
        call(site, retries=1, backoff_factor=0)

    assert type(caught.value) is RuntimeError
    assert len(site.asked) == 2


def test_a_status_of_404_is_not_repeated() -> None:
    with web(lambda _: (404, "nope")) as site, pytest.raises(ValueError, match="got an unexpected response status 404") as caught:
        call(site, {"a": 1}, retries=3, backoff_factor=0)

    assert str(caught.value) == (
        "For event Event(id=E1, body={'a': 1}, method=, path=/), RemoteStep r got an unexpected response status 404: b'nope'"
    )
    assert len(site.asked) == 1


def test_no_connection_is_an_error_after_the_last_attempt() -> None:
    with web(echo) as site:
        pass

    with pytest.raises(NetError):
        call(site, retries=1, backoff_factor=0)


def test_a_late_answer_is_an_error() -> None:
    given_up = threading.Event()

    def late(_: Asked) -> tuple[int, object]:
        given_up.wait(60)
        return 200, "{}"

    with web(late) as site:
        with pytest.raises(NetError):
            call(site, timeout=0.05)
        given_up.set()


def test_an_answer_that_is_not_json_is_an_error() -> None:
    with web(lambda _: (200, "<html>")) as site, pytest.raises(ValueError, match="Expecting value"):
        call(site)


def test_the_name_of_a_function_is_resolved_by_the_host() -> None:
    with web(echo) as site:
        context = Context(resolve_endpoint=lambda name: f"{site.url}/{name}")
        step = Step("r", target="fnkit.steps:RemoteStep", args={"url": "scorer"})

        assert answer(chain(step, context=context), 1) == {"method": "POST", "path": "/scorer", "body": 1}


def test_no_more_calls_than_allowed_are_in_flight() -> None:
    now, most = 0, 0
    changed = threading.Condition()

    def crowded(asked: Asked) -> tuple[int, object]:
        nonlocal now, most
        with changed:
            now += 1
            most = max(most, now)
            changed.notify_all()
            changed.wait_for(lambda: most >= 3, 60)
            now -= 1
        return 200, asked.json()

    with web(crowded) as site:
        result = call(site, list(range(8)), kind="BatchHttpRequests", max_in_flight=3)

    assert (result, most) == (list(range(8)), 3)


def test_a_batch_of_requests_keeps_the_order_and_sees_each_element() -> None:
    with web(lambda asked: (200, {"at": asked.path})) as site:
        result = call(site, ["a", "b"], kind="BatchHttpRequests", url_expression="endpoint + '/' + event", method="GET")

    assert result == [{"at": "/a"}, {"at": "/b"}]


def test_a_batch_fails_with_its_first_failure() -> None:
    with web(lambda asked: (400 if asked.json() == 2 else 200, "{}")) as site, pytest.raises(ValueError, match="status 400"):
        call(site, [1, 2, 3], kind="BatchHttpRequests")


def test_a_batch_needs_a_list() -> None:
    with pytest.raises(TypeError, match="BatchHttpRequests needs a list, not dict"):
        call("http://127.0.0.1:1", {}, kind="BatchHttpRequests")


@pytest.mark.parametrize("arguments", [{}, {"url": "http://x", "retries": -1}, {"url": "http://x", "max_in_flight": -1}])
def test_what_cannot_work_is_refused_at_once(arguments: dict[str, object]) -> None:
    with pytest.raises(MLRunInvalidArgumentError):
        RemoteStep(**arguments)  # type: ignore[arg-type]  # wrong on purpose


def test_expressions_are_checked_when_the_step_is_made() -> None:
    with pytest.raises(GraphError, match="which expressions may not"):
        Remote(url="http://x", body_expression="__import__('os').system('true')")
