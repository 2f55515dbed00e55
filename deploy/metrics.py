"""The metrics that the alert rules and the dashboard use, and the Synapse that introduced each.

The names are those of the series in the exposition, as Synapse's source defines them and as
`tests/e2e/monitoring_test.py` and `tests/eras/era_test.py` find them in running processes.
"""

import re

# From Prometheus itself, about each scrape.
_SCRAPE = ("up", "scrape_duration_seconds")
# From every release that this project supports.
_ALWAYS = (
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "python_gc_time_sum",
    "python_twisted_reactor_tick_time_bucket",
    "synapse_appservice_api_failed_transactions_total",
    "synapse_appservice_api_sent_events_total",
    "synapse_background_process_db_txn_duration_seconds_total",
    "synapse_background_process_in_flight_count",
    "synapse_build_info",
    "synapse_event_persisted_position",
    "synapse_event_processing_positions",
    "synapse_federation_client_sent_edus_total",
    "synapse_federation_client_sent_transactions_total",
    "synapse_federation_server_number_inbound_pdu_in_staging",
    "synapse_federation_server_oldest_inbound_pdu_in_staging",
    "synapse_federation_server_received_edus_total",
    "synapse_federation_server_received_pdus_total",
    "synapse_federation_transaction_queue_pending_edus",
    "synapse_federation_transaction_queue_pending_pdus",
    "synapse_http_httppusher_http_pushes_failed_total",
    "synapse_http_httppusher_http_pushes_processed_total",
    "synapse_http_server_in_flight_requests_count",
    "synapse_http_server_requests_received_total",
    "synapse_http_server_response_db_txn_duration_seconds_total",
    "synapse_http_server_response_ru_utime_seconds_total",
    "synapse_http_server_response_time_seconds_bucket",
    "synapse_http_server_responses_total",
    "synapse_outgoing_replication_requests_total",
    "synapse_replication_tcp_command_queue",
    "synapse_replication_tcp_protocol_inbound_rdata_count_total",
    "synapse_replication_tcp_resource_total_connections",
    "synapse_storage_events_persisted_events_total",
    "synapse_storage_schedule_time_count",
    "synapse_storage_schedule_time_sum",
    "synapse_storage_transaction_time_sum_total",
    "synapse_threadpool_max_threads",
    "synapse_threadpool_working_threads",
    "synapse_util_caches_cache",
    "synapse_util_caches_cache_evicted_size",
    "synapse_util_caches_cache_hits",
)
# From the minor release 1.x on; found in the source of the releases.
_ADDED = {
    "synapse_background_update_status": 86,
    "synapse_device_lists_changes_conversion_lag_seconds": 160,
    "synapse_notifier_wait_for_stream_token_timeouts_total": 163,
    "synapse_sliding_sync_processing_time_bucket": 114,
    "synapse_storage_stream_current_position": 162,
}
# Name -> the first minor release 1.x that has it, or 0 if every supported one does.
METRICS = dict.fromkeys(_SCRAPE + _ALWAYS, 0) | _ADDED


# What else can be a word in the expressions here, outside of braces, brackets and quotes.
_PROMQL = frozenset(
    "absent and avg_over_time by changes count group_right histogram_quantile increase max offset "
    "on or rate sum time topk vector".split()
)


def used_metrics(expression: str) -> frozenset[str]:
    """Return the names of the metrics in a PromQL expression, known or not."""
    without_selectors = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', "", expression)
    without_labels = re.sub(r"\b(by|on|group_right)\s*\([^)]*\)", "", without_selectors)
    return frozenset(re.findall(r"\b[A-Za-z_:][\w:]*", without_labels)) - _PROMQL


def first_minor(expression: str) -> int:
    """Return the first minor release 1.x that has all metrics of a PromQL expression, or 0.

    Raises:
        KeyError: if a metric is not in the table.
    """
    return max((METRICS[name] for name in used_metrics(expression)), default=0)
