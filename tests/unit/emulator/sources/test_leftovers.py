"""Large payloads that nobody has fetched are removed by age; what is on its way stays."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from fnkit_emulator.sources.leftovers import OLD_S, keep_clean, remove_leftovers

NOW = 1_800_000_000.0


def payload(folder: Path, name: str, age_s: float) -> Path:
    file = folder / name
    file.write_bytes(b"x")
    os.utime(file, (NOW - age_s, NOW - age_s))
    return file


def test_only_what_is_old_is_removed(tmp_path: Path) -> None:
    old, young = payload(tmp_path, "a1", 7200), payload(tmp_path, "b2", 60)

    removed = remove_leftovers(tmp_path, older_than=NOW - 3600)

    assert removed == 1
    assert not old.exists()
    assert young.exists()


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert remove_leftovers(tmp_path / "objects", older_than=NOW) == 0


def test_an_emulator_cleans_up_at_its_start_and_goes_on(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        said: list[str] = []
        heard = asyncio.Event()
        ages = iter((0.0, OLD_S))

        def say(text: str) -> None:
            said.append(text)
            heard.set()

        first, second = payload(tmp_path, "a1", OLD_S + 1), payload(tmp_path, "b2", 1)
        cleaning = asyncio.ensure_future(keep_clean(tmp_path, say, clock=lambda: NOW + next(ages, OLD_S), look_s=0.01))
        while first.exists() or second.exists():
            async with asyncio.timeout(30):
                await heard.wait()
                heard.clear()
        cleaning.cancel()
        return said

    said = asyncio.run(scenario())

    assert len(said) == 2
    assert all("1 large payload that nobody has fetched for hours removed" in one for one in said)
