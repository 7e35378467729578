"""The fixtures of the steps' tests."""

from tests.steps.workshop import workshop  # noqa: F401 (a fixture)
