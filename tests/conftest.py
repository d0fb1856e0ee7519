"""Settings of all tests."""

import os

from hypothesis import settings

# The same cases in every run, so that a failure is a change of the code. HYPOTHESIS_PROFILE=wide
# looks for new ones, at random and ten times as many.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("wide", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
