"""Settings of the whole test run."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# `ci` is repeatable and allows for a busy machine; `thorough` looks longer. HYPOTHESIS_PROFILE chooses.
_calm = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("ci", max_examples=50, deadline=None, derandomize=True, suppress_health_check=_calm)
settings.register_profile("dev", max_examples=15, deadline=None, suppress_health_check=_calm)
settings.register_profile("thorough", max_examples=1000, deadline=None, suppress_health_check=_calm)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
