"""The steps of a loop that improves a draft until an evaluator accepts it."""

from fnkit.steps import Choice


class Processor:
    """Prepare the request: a topic, and how many attempts the evaluator is to ask for."""

    def do(self, body):
        return {"topic": body["topic"], "target": body.get("target", 3), "n": 0, "ok": False, "drafts": []}


class Generator:
    """Write the next draft."""

    def do(self, body):
        body["n"] += 1
        body["drafts"].append(f"{body['topic']}, draft {body['n']}")
        return body


class Evaluator:
    """Accept the draft, or not."""

    def do(self, body):
        body["ok"] = body["n"] >= body["target"]
        return body


class ChoiceHandler(Choice):
    """Lead back to the generator until the draft is accepted."""

    def select_outlets(self, body):
        return ["output"] if body["ok"] else ["generator"]


def responder(body):
    """Return the answer."""
    return {"answer": body["drafts"][-1], "attempts": body["n"]}


class HandleError:
    """Say how far the loop came when it was not allowed to go on."""

    def do(self, body):
        return {"answer": None, "attempts": body["n"], "error": "no draft was accepted"}
