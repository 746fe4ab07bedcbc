"""What all tests share: random examples have no limit of time, for a busy machine is no fault, and event loops end tidily."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, settings

from tests.fakes.loops import TidyLoops

settings.register_profile("fnkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fnkit")
asyncio.set_event_loop_policy(TidyLoops())
