"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# A loaded machine is slow; that is no failure of a law.
settings.register_profile("laws", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("laws")
