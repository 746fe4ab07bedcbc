"""What all tests share: random examples have no limit of time, for a busy machine is not a fault of what is tested."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("fnkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fnkit")
