"""Frozen records, and the words of typing, at no cost: what is shipped may import neither `dataclasses` nor `typing`.

Importing those two takes about as long as starting Python, and every cold start would pay for it. To type checkers `record` *is*
`dataclasses.dataclass`; at run time it makes a class of the same behaviour: slots, positional and keyword arguments, defaults,
equality, hash, order of fields in `repr`, no assignment. `dataclasses.fields`, `replace` and `asdict` work on it; only they load
`dataclasses`.
"""

from __future__ import annotations

__all__ = ["ByFields", "Protocol", "cast", "field", "record", "replace"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from dataclasses import field, replace
    from typing import Protocol, cast
else:
    Protocol = object

    def cast(_kind, value):
        """Return *value*: as `typing.cast`."""
        return value

    class _Factory:
        """Marks a default that is made anew for each record."""

        __slots__ = ("make",)

        def __init__(self, make):
            self.make = make

    class _LazyFields:
        """Stands for `__dataclass_fields__` until something asks for it."""

        __slots__ = ()

        def __get__(self, _instance, owner):
            from dataclasses import field as real_field
            from dataclasses import make_dataclass

            specs = []
            for name in owner.__match_args__:
                if name not in owner._defaults:
                    specs.append((name, owner.__annotations__[name]))
                    continue
                default = owner._defaults[name]
                made = real_field(default_factory=default.make) if type(default) is _Factory else real_field(default=default)
                specs.append((name, owner.__annotations__[name], made))
            fields = make_dataclass(owner.__name__, specs, frozen=True).__dataclass_fields__
            owner.__dataclass_fields__ = fields
            return fields

    def field(*, default_factory):
        """Return the default of a field that is made anew for each record."""
        return _Factory(default_factory)

    def replace(instance, /, **changes):
        """Return a copy of *instance* with *changes*: as `dataclasses.replace`."""
        for name in instance.__match_args__:
            if name not in changes:
                changes[name] = getattr(instance, name)
        return instance.__class__(**changes)

    def record(*, frozen, slots):
        """Return the decorator that makes a frozen record with slots of a class: as `dataclasses.dataclass`."""
        assert frozen
        assert slots
        return _make

    def _make(cls):
        names = tuple(cls.__annotations__)
        body = {name: value for name, value in cls.__dict__.items() if name not in (*names, "__dict__", "__weakref__")}
        defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
        body |= {
            "__annotations__": dict(cls.__annotations__),
            "__slots__": names,
            "__match_args__": names,
            "_defaults": defaults,
            "__dataclass_fields__": _LazyFields(),
        }
        bases = cls.__bases__
        if bases == (object,):
            bases = (_Record,)  # to inherit takes less than half the time of a class with all of its own
        else:
            for method in _METHODS:
                body.setdefault(method.__name__, method)
        if body.get("__hash__", _METHODS) is None:  # Python puts that beside an __eq__ of the class's own
            body["__hash__"] = __hash__
        made = type(cls)(cls.__name__, bases, body)
        made.__qualname__ = cls.__qualname__
        return made

    def __init__(self, /, *given, **named):
        names = self.__match_args__
        if len(given) > len(names):
            raise TypeError(f"{type(self).__name__} takes {len(names)} values, {len(given)} were given")
        put = object.__setattr__
        for name, value in zip(names, given, strict=False):
            if name in named:
                raise TypeError(f"{type(self).__name__} got {name!r} twice")
            put(self, name, value)
        missing = []
        for name in names[len(given) :]:
            if name in named:
                put(self, name, named.pop(name))
            elif name in self._defaults:
                default = self._defaults[name]
                put(self, name, default.make() if type(default) is _Factory else default)
            else:
                missing.append(name)
        if missing:
            raise TypeError(f"{type(self).__name__} needs {', '.join(missing)}")
        if named:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(named)}")
        after = getattr(self, "__post_init__", None)
        if after is not None:
            after()

    def _values(instance):
        return tuple([getattr(instance, name) for name in instance.__match_args__])

    def __repr__(self):
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__qualname__}({fields})"

    def __eq__(self, other):
        return _values(self) == _values(other) if type(other) is type(self) else NotImplemented

    def __hash__(self):
        return hash(_values(self))

    def __setattr__(self, name, _value):
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed: make another record with replace()")

    def __delattr__(self, name):
        raise AttributeError(f"{type(self).__name__}.{name} cannot be removed")

    def __getstate__(self):
        return _values(self)

    def __setstate__(self, state):
        for name, value in zip(self.__match_args__, state, strict=True):
            object.__setattr__(self, name, value)

    _METHODS = (__init__, __repr__, __eq__, __hash__, __setattr__, __delattr__, __getstate__, __setstate__)
    _Record = type("_Record", (), {"__slots__": (), **{method.__name__: method for method in _METHODS}})


class ByFields:
    """The base of values that are made by the thousand: a plain `__init__` of their own, compared and printed by their `__slots__`."""

    __slots__: tuple[str, ...] = ()

    def _fields(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, ByFields) and other._fields() == self._fields()

    def __hash__(self) -> int:
        return hash((type(self), *self._fields()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({fields})"
