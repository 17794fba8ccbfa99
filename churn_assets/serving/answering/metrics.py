"""What Prometheus scrapes: counters, histograms and gauges of one server process."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

MEDIA_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_SCORES = tuple(round(0.1 * i, 1) for i in range(1, 11))
STATUSES = ("2xx", "4xx", "5xx")


def status_class(status: int) -> str:
    """The class of a status of HTTP.

    >>> status_class(422)
    '4xx'
    """
    return f"{status // 100}xx"


@dataclass
class Metrics:
    """All metrics; names are the namespace `churn`, units in the name."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        of = self.registry
        ProcessCollector(registry=of)
        PlatformCollector(registry=of)
        self.requests = Counter(
            "churn_requests",
            "Calls by use case, route and class of status",
            ["use_case", "route", "status"],
            registry=of,
        )
        self.seconds = Histogram(
            "churn_request_seconds",
            "Seconds from a call's beginning to its answer",
            ["use_case", "route"],
            buckets=_SECONDS,
            registry=of,
        )
        self.predictions = Counter(
            "churn_predictions",
            "Customers scored, by who answered and what the score was made from",
            ["use_case", "variant", "model_version", "semantic_version", "form"],
            registry=of,
        )
        self.positives = Counter(
            "churn_decisions_positive",
            "Customers scored at or above the threshold",
            ["use_case", "variant", "model_version"],
            registry=of,
        )
        self.scores = Histogram(
            "churn_score", "Scores", ["use_case", "variant"], buckets=_SCORES, registry=of
        )
        self.model = Gauge(
            "churn_model_info",
            "1 for each model that is loaded",
            ["use_case", "variant", "model_version", "semantic_version", "path"],
            registry=of,
        )
        self.loaded_at = Gauge(
            "churn_model_loaded_timestamp_seconds",
            "When the Champion was loaded",
            ["use_case"],
            registry=of,
        )
        self.share = Gauge(
            "churn_traffic_share",
            "Share of customers by variant",
            ["use_case", "variant"],
            registry=of,
        )
        self.returned = Gauge(
            "churn_traffic_returned",
            "1 while the guard has put traffic back",
            ["use_case"],
            registry=of,
        )
        self.features_age = Gauge(
            "churn_features_age_seconds", "Age of the features by key", ["use_case"], registry=of
        )
        self.stale = Counter(
            "churn_stale_features_answers",
            "Customers answered by key from features that are too old",
            ["use_case"],
            registry=of,
        )
        self.unreachable = Gauge(
            "churn_registry_unreachable_seconds",
            "How long registry or lake cannot be read",
            ["use_case"],
            registry=of,
        )
        self.refused_bundles = Gauge(
            "churn_bundle_refused",
            "1 while a newer model cannot be taken",
            ["use_case"],
            registry=of,
        )
        self.log_lost = Gauge(
            "churn_log_lost",
            "Answers that the log has lost, on a full disk",
            ["use_case"],
            registry=of,
        )
        self.log_waiting = Gauge(
            "churn_log_waiting_segments",
            "Segments that are not in the table yet",
            ["use_case"],
            registry=of,
        )

    def exposed(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self.registry)
