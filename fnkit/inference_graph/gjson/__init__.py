"""GJSON: paths and conditions on the bytes of a JSON text, as tidwall/gjson v1.18.0 understands them.

::

    get(b'{"name": {"first": "Tom"}}', "name.first").str                    # Tom
    compile('[@this].#(age>40)').matches(body)                              # what KServe's router asks of a condition

The language: keys and indexes (`a.b.0`), wildcards (`*`, `?`), escapes (`\\`), counts and lists (`#`, `#.name`), queries
(`#(age>40)`, `#(name%"D*")#`), modifiers (`@reverse`), multipaths (`[a,b]`, `{"x":a}`), literals (`!true`), JSON lines (`..`).
Nothing that is given to it raises: a path that makes no sense finds nothing, and a document that is no JSON is searched as
far as it can be read. `valid` says whether it is JSON.

How it is made: `syntax` cuts paths, `path` reads them, `scan` finds values in a text, `search` walks along a path,
`evaluate` puts modifiers, multipaths and pipes around that, `explain` tells how a path came to its result. A condition asks only
whether there is a result: `document` decodes the text once and `decoded` walks through what comes of it.
"""

from __future__ import annotations

from fnkit.inference_graph.gjson.condition import Query, compile, get
from fnkit.inference_graph.gjson.document import Document
from fnkit.inference_graph.gjson.explain import Explanation, Part, Trial, explain
from fnkit.inference_graph.gjson.lint import Remark, remarks
from fnkit.inference_graph.gjson.result import MISSING, Result
from fnkit.inference_graph.gjson.validity import valid

__all__ = [
    "MISSING",
    "Document",
    "Explanation",
    "Part",
    "Query",
    "Remark",
    "Result",
    "Trial",
    "compile",
    "explain",
    "get",
    "remarks",
    "valid",
]
