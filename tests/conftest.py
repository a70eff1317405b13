"""What all tests have in common: Hypothesis tries the same examples every time, and no clock judges it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "podium",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("podium")
