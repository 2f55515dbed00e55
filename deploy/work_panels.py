"""The panels about what a homeserver does for clients, other homeservers and other services."""

from collections.abc import Iterator

from deploy.monitored import Monitored, matcher
from deploy.panel import CHOSEN, Panel, Query, each, quantile_of, rate


def overview(monitored: Monitored) -> Iterator[Panel]:
    every = matcher(monitored.jobs)
    yield Panel(
        f"Processes up, of {len(monitored.names)}",
        "short",
        (Query(f"sum(up{{{every}}})", ""),),
        visualization="stat",
    )
    yield Panel(
        "Versions",
        "short",
        (Query(f"count by (version) (synapse_build_info{{{every}}})", "{{version}}"),),
        visualization="stat",
    )
    sent = f'{every}, servlet="RoomSendEventRestServlet", code=~"2.."'
    times = "synapse_http_server_response_time_seconds_bucket"
    yield Panel(
        "Time to send a message",
        "s",
        tuple(
            Query(quantile_of(quantile, times, sent), f"{quantile} quantile")
            for quantile in ("0.5", "0.95", "0.99")
        ),
        "Successful requests to all processes.",
    )
    yield Panel(
        "Events persisted",
        "ops",
        (
            Query(
                rate(
                    "synapse_storage_events_persisted_events_total", matcher(monitored.persisters)
                ),
                "{{instance}}",
            ),
        ),
    )


def requests(monitored: Monitored) -> Iterator[Panel]:
    yield each(
        "Requests",
        "reqps",
        f"sum by (instance) ({rate('synapse_http_server_requests_received_total')})",
    )
    failed = rate("synapse_http_server_responses_total", f'{CHOSEN}, code=~"5.."')
    yield each("Responses with 5xx", "reqps", f"sum by (instance) ({failed})")
    yield each(
        "Requests in flight",
        "short",
        f"sum by (instance) (synapse_http_server_in_flight_requests_count{{{CHOSEN}}})",
        "Including syncs that wait for new events.",
    )
    received = rate("synapse_http_server_requests_received_total")
    yield Panel(
        "Most frequent requests",
        "reqps",
        (Query(f"topk(10, sum by (servlet) ({received}))", "{{servlet}}"),),
    )
    cpu = rate("synapse_http_server_response_ru_utime_seconds_total")
    yield Panel(
        "CPU time of requests",
        "percentunit",
        (Query(f"topk(10, sum by (servlet) ({cpu}))", "{{servlet}}"),),
        "Of one core.",
    )
    yield Panel(
        "Sliding sync",
        "s",
        tuple(
            Query(
                quantile_of(quantile, "synapse_sliding_sync_processing_time_bucket"),
                f"{quantile} quantile",
            )
            for quantile in ("0.5", "0.95")
        ),
        "Without the time that it waits for new events.",
    )
    media = f'{matcher(monitored.media)}, servlet=~"(Upload|Download|Thumbnail).*"'
    yield Panel(
        "Time of media requests",
        "s",
        (
            Query(
                quantile_of(
                    "0.95", "synapse_http_server_response_time_seconds_bucket", media, "servlet, "
                ),
                "{{servlet}}",
            ),
        ),
        "0.95 quantile.",
    )


def events(monitored: Monitored) -> Iterator[Panel]:
    persisters = matcher(monitored.persisters)
    yield each(
        "Rooms with events to be persisted",
        "short",
        f'synapse_background_process_in_flight_count{{{persisters}, name="persist_events"}}',
    )
    yield Panel(
        "Events not yet processed",
        "short",
        (
            Query(
                f"max(synapse_event_persisted_position{{{persisters}}})\n"
                "  - on () group_right ()\n"
                f"synapse_event_processing_positions{{{matcher(monitored.jobs)}}}",
                "{{name}}",
            ),
        ),
        "By consumer of the event stream, such as the federation sender.",
    )


def federation(monitored: Monitored) -> Iterator[Panel]:
    senders = matcher(monitored.senders)
    yield each(
        "Transactions sent",
        "ops",
        rate("synapse_federation_client_sent_transactions_total", senders),
    )
    yield Panel(
        "Waiting to be sent",
        "short",
        (
            Query(f"synapse_federation_transaction_queue_pending_pdus{{{senders}}}", "events"),
            Query(f"synapse_federation_transaction_queue_pending_edus{{{senders}}}", "EDUs"),
        ),
    )
    yield Panel(
        "Events and EDUs received, EDUs sent",
        "ops",
        (
            Query(f"sum({rate('synapse_federation_server_received_pdus_total')})", "events"),
            Query(f"sum({rate('synapse_federation_server_received_edus_total')})", "EDUs"),
            Query(f"sum({rate('synapse_federation_client_sent_edus_total')})", "EDUs sent"),
        ),
    )
    every = matcher(monitored.jobs)
    yield Panel(
        "Received events not yet processed",
        "short",
        (Query(f"max(synapse_federation_server_number_inbound_pdu_in_staging{{{every}}})", ""),),
    )
    yield each(
        "Device lists not yet converted",
        "s",
        f"synapse_device_lists_changes_conversion_lag_seconds{{{every}}}",
        "How late other homeservers learn of changed devices.",
    )


def consumers(monitored: Monitored) -> Iterator[Panel]:
    pushers, notifiers = matcher(monitored.pushers), matcher(monitored.notifiers)
    yield Panel(
        "Push notifications",
        "ops",
        tuple(
            Query(f"sum({rate(f'synapse_http_httppusher_http_pushes_{end}_total', pushers)})", end)
            for end in ("processed", "failed")
        ),
    )
    sent = rate("synapse_appservice_api_sent_events_total", notifiers)
    failed = rate("synapse_appservice_api_failed_transactions_total", notifiers)
    yield Panel(
        "Application services",
        "ops",
        (
            Query(f"sum by (service) ({sent})", "{{service}}: events"),
            Query(f"sum by (service) ({failed})", "{{service}}: failed transactions"),
        ),
    )
