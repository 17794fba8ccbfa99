"""How often the same test rows were looked at: by each version that was judged by them."""

from __future__ import annotations

from churn_assets.learning.judging.evidence import Evidence
from churn_assets.learning.registry import Registry

_TEST_SET = "test_set"
"""Tag of a version: the digest of the test rows that it was judged by."""


def keep_look(registry: Registry, evidence: Evidence) -> None:
    """Tag the Challenger with the test rows that it is judged by, and as which one of them."""
    challenger = evidence.challenger
    if challenger.tags.get(_TEST_SET) != evidence.test_set:
        looks = looks_at(registry, evidence)
        tags = {_TEST_SET: evidence.test_set, "test_set_looks": str(looks)}
        registry.tag(challenger.version, tags)


def looks_at(registry: Registry, evidence: Evidence) -> int:
    """How many versions were judged by these very test rows, the Challenger among them."""
    judged = {
        version.version
        for version in registry.versions()
        if version.tags.get(_TEST_SET) == evidence.test_set
    }
    return len(judged | {evidence.challenger.version})
