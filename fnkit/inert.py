"""What authoring answers with where a graph is not being written: inside a bundle, and while a TARGET is only loaded.

A script that builds, deploys and calls its graph at module level can then be imported without any of it happening.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Inert:
    """Stands for what a started thing would have answered: every call, attribute and item is itself; it is empty and false."""

    def __getattr__(self, name: str) -> Inert:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_args: object, **_options: object) -> Inert:
        return self

    def __getitem__(self, _key: object) -> Inert:
        return self

    def __contains__(self, _key: object) -> bool:
        return False

    def __iter__(self) -> Iterator[object]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __enter__(self) -> Inert:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def __str__(self) -> str:
        return ""


INERT = Inert()
