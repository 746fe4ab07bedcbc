"""Services of an InferenceGraph that are classes of the user's project, as its document writes them.

::

    services:
      upper: models:Upper                            # a class
      other: http://other.example/predict            # a URL: no class, nothing to place
      iris: {target: "models:Iris", args: {depth: 3}, function: models, requirements: [numpy]}
"""

from __future__ import annotations

from fnkit.lean import Mapping
from fnkit.records import field, record


@record(frozen=True, slots=True)
class ServiceCode:
    """A service that is a class: its *target* `"package.module:Class"` and its constructor's *args*.

    *function* names the function that it shall run in, `""`: as the placement says. *requirements* are pip requirement lines.
    """

    target: str
    args: Mapping[str, object] = field(default_factory=dict)
    function: str = ""
    requirements: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """The import path of the class's module."""
        return self.target.partition(":")[0]


def is_step(target: str) -> bool:
    """Tell whether *target* names a class, `"package.module:Class"`, and is no URL."""
    module, colon, name = target.partition(":")
    return bool(colon) and "/" not in target and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))


def target_of(text: str) -> str | ServiceCode:
    """Return what a text says of a service: the class, or the URL as it is."""
    return ServiceCode(text) if is_step(text) else text


def code_services(document: Mapping[str, object]) -> dict[str, ServiceCode]:
    """Return those services of a checked InferenceGraph *document* that are classes, in their order."""
    services = _mapping(_mapping(_mapping(document.get("spec")).get("fnkit")).get("services"))
    found = {}
    for name, said in services.items():
        code = _read(said)
        if code is not None:
            found[str(name)] = code
    return found


def _read(said: object) -> ServiceCode | None:
    if isinstance(said, str):
        return ServiceCode(said) if is_step(said) else None
    fields = _mapping(said)
    if not fields.get("target"):
        return None
    requirements = fields.get("requirements")
    return ServiceCode(
        str(fields["target"]),
        {str(key): value for key, value in _mapping(fields.get("args")).items()},
        str(fields.get("function") or ""),
        tuple(map(str, requirements)) if isinstance(requirements, list | tuple) else (),
    )


def _mapping(value: object) -> Mapping[object, object]:
    return value if isinstance(value, Mapping) else {}
