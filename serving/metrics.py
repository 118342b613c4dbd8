"""Prometheus metrics of the API, one definition each; labels hold no customer and no free path.

BentoML's own HTTP metrics are switched off (see ``serving.service``): they label by raw path, which lets any caller
grow them without bound, and cost a sixth of the throughput.
"""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Counter("kilowise_requests", "Requests by route and status", ["route", "status"])
REQUEST_SECONDS = Histogram(
    "kilowise_request_seconds",
    "Time from the first byte of a request to the last of its answer",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
PREDICTIONS = Counter("kilowise_predictions", "Customers scored", ["use_case", "release"])
RELEASE_INFO = Gauge(
    "kilowise_release_info",
    "1 for the release that is served, 0 for those that were",
    ["use_case", "release", "model_version"],
    multiprocess_mode="mostrecent",
)
RELEASE_REFUSED = Gauge(
    "kilowise_release_refused",
    "1 while the release that should be served cannot be, and the one before answers",
    ["use_case"],
    multiprocess_mode="mostrecent",
)
RELEASE_LOADS = Counter("kilowise_release_loads", "Attempts to take up a release", ["use_case", "outcome"])
FEATURE_FALLBACKS = Counter(
    "kilowise_feature_fallbacks", "Look-ups that the snapshot file answered because Redis did not"
)
FEATURES_AS_OF = Gauge(
    "kilowise_features_as_of_timestamp_seconds",
    "First day of the as-of month of the features that are served",
    ["use_case"],
    multiprocess_mode="mostrecent",
)
MODEL_VERDICT = Gauge(
    "kilowise_model_verdict",
    "1 for the outcome of the latest drift review of the served release; 0 for all before its first review",
    ["use_case", "outcome"],
    multiprocess_mode="mostrecent",
)
MODEL_VERDICT_SILENCED = Gauge(
    "kilowise_model_verdict_silenced",
    "1 while findings behind the verdict are silenced, so that nobody is told",
    ["use_case"],
    multiprocess_mode="mostrecent",
)
MODEL_VERDICT_MONTH = Gauge(
    "kilowise_model_verdict_month_timestamp_seconds",
    "First day of the month that the latest drift review looked at; 0 before the first",
    ["use_case"],
    multiprocess_mode="mostrecent",
)
LOG_ROWS = Counter("kilowise_prediction_log_rows", "Rows of the prediction log by what became of them", ["outcome"])
for _outcome in ("written", "dropped", "lost"):
    # To Prometheus the first of a kind is no increase, unless there was a 0 before.
    LOG_ROWS.labels(_outcome)
LOG_WRITE_FAILURES = Counter("kilowise_prediction_log_write_failures", "Failed writes; their rows are tried again")
LOG_PENDING_ROWS = Gauge(
    "kilowise_prediction_log_pending_rows", "Rows that wait to be written", multiprocess_mode="livesum"
)
TRIAL_DECISIONS = Counter(
    "kilowise_trial_decisions",
    "What a challenger did beside the answers, by what became of it",
    ["use_case", "outcome"],
)
API_KEY_FILE_USABLE = Gauge(
    "kilowise_api_key_file_usable",
    "1 while the key file can be used, 0 while the keys read before stay in force",
    multiprocess_mode="livemin",
)
DENIED_CALLS = Counter("kilowise_denied_calls", "Calls refused for their key, scope, rate or quota", ["reason"])
DENIED_CALL_LINES = Counter(
    "kilowise_denied_call_lines", "Lines of the audit of denied calls by what became of them", ["outcome"]
)
STATE_FREE_BYTES = Gauge(
    "kilowise_state_free_bytes", "Free bytes of the disk that takes the prediction log", multiprocess_mode="mostrecent"
)

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition() -> bytes:
    """Return all metrics in Prometheus' text format, summed over the server's processes."""
    # BentoML's supervisor sets this variable for its workers; prometheus_client itself reads it at import.
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)
    return generate_latest(REGISTRY)
