"""Tests mirror the packages; each states something about the world."""

from hypothesis import settings

# machines are noisy, so no deadlines; the same examples everywhere, so that a failure can be met again
settings.register_profile("unwind", deadline=None, derandomize=True)
settings.load_profile("unwind")
