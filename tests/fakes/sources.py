"""The text of small projects that several tests build and deploy."""

from __future__ import annotations

GREETER = """
import fnkit

class Greet:
    def do(self, body):
        return "hello"

fn = fnkit.code_to_function(name="chat", kind="serving")
fn.set_topology("flow", engine="async").to("Greet").respond()
"""
"""A script with the graph `chat` of one step."""

COUNTING = """
class Count:
    def do(self, body):
        for number in range(body["count"]):
            yield number

class Mark:
    def do(self, number):
        return f"<{number}>\\n"
"""
"""Two steps: one streams as many numbers as the body's `count` says, the other marks each."""
