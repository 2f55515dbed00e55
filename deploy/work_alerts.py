"""The alerts about what a homeserver does for clients, other homeservers and other services."""

from collections.abc import Iterator

from deploy.alert import WARNING, Alert
from deploy.monitored import Monitored, matcher


def _behind(monitored: Monitored, jobs: tuple[str, ...], name: str) -> str:
    """Return how many events that are older than five minutes a consumer has not processed."""
    return (
        f"max(synapse_event_persisted_position{{{matcher(monitored.persisters)}}} offset 5m)\n"
        f"  - on () group_right ()\n"
        f'synapse_event_processing_positions{{{matcher(jobs)}, name="{name}"}}\n'
        f"  > 20"
    )


def requests(monitored: Monitored) -> Iterator[Alert]:
    """Yield the alerts about requests of clients, other homeservers and other processes."""
    every = matcher(monitored.jobs)
    failed = (
        "sum by (instance, job) "
        f'(rate(synapse_http_server_responses_total{{{every}, code=~"5.."}}[5m]))'
    )
    yield Alert(
        "SynapseErrors",
        f"{failed}\n"
        "  /\n"
        f"sum by (instance, job) (rate(synapse_http_server_responses_total{{{every}}}[5m]))\n"
        "  > 0.05\n"
        "and\n"
        f"{failed} > 0.05",
        "10m",
        WARNING,
        "{{ $labels.instance }} answers {{ $value | humanizePercentage }} of its requests with 5xx",
        "Look for tracebacks in its log, and check whether the processes that it calls are up.",
    )
    # There is no such alert for /sync, whose time includes how long it waits for new events.
    yield Alert(
        "SynapseSendSlow",
        "histogram_quantile(\n"
        "  0.95,\n"
        "  sum by (le) (\n"
        "    rate(\n"
        f"      synapse_http_server_response_time_seconds_bucket{{{every}, "
        'servlet="RoomSendEventRestServlet", code=~"2.."}[10m]\n'
        "    )\n"
        "  )\n"
        ") > 2",
        "10m",
        WARNING,
        "Sending a message takes {{ $value | humanizeDuration }} (95th percentile)",
        "Check whether the process that persists events, or PostgreSQL, is busy.",
    )
    yield Alert(
        "SynapseSyncSlow",
        "histogram_quantile(\n"
        "  0.95,\n"
        "  sum by (le) (\n"
        f"    rate(synapse_sliding_sync_processing_time_bucket{{{every}}}[10m])\n"
        "  )\n"
        ") > 5",
        "15m",
        WARNING,
        "A sliding sync takes {{ $value | humanizeDuration }} without waiting (95th percentile)",
        "Check whether the processes that serve syncs, or PostgreSQL, are busy; add synchrotrons.",
    )


def events(monitored: Monitored) -> Iterator[Alert]:
    """Yield the alerts about persisting events."""
    # Synapse has a queue for each room, and a background process for each queue that is not empty.
    yield Alert(
        "SynapseEventPersistQueue",
        "avg_over_time(\n"
        "  synapse_background_process_in_flight_count"
        f'{{{matcher(monitored.persisters)}, name="persist_events"}}[5m]\n'
        ") > 10",
        "5m",
        WARNING,
        "At {{ $labels.instance }}, events of {{ $value | humanize }} rooms wait to be persisted",
        "Check the CPU time of the process, its database connections, and PostgreSQL; add an "
        "event_persister.",
    )


def federation(monitored: Monitored) -> Iterator[Alert]:
    """Yield the alerts about other homeservers."""
    every = matcher(monitored.jobs)
    yield Alert(
        "SynapseFederationBehind",
        _behind(monitored, monitored.senders, "federation_sender"),
        "10m",
        WARNING,
        "{{ $labels.instance }} has not processed {{ $value }} events over five minutes old",
        "Other homeservers receive them late. Check the CPU time and the log of the process; add a "
        "federation_sender.",
    )
    yield Alert(
        "SynapseFederationQueue",
        f"synapse_federation_transaction_queue_pending_pdus{{{matcher(monitored.senders)}}} > 1000",
        "30m",
        WARNING,
        "At {{ $labels.instance }}, {{ $value }} events wait to be sent to other homeservers",
        "If only a few homeservers are slow, wait. Otherwise, check the network and the CPU time "
        "of the process, and add a federation_sender.",
    )
    # Despite its description, the metric is in milliseconds (as of Synapse 1.163).
    yield Alert(
        "SynapseFederationInbound",
        f"max(synapse_federation_server_oldest_inbound_pdu_in_staging{{{every}}}) / 1000 > 600",
        "15m",
        WARNING,
        "An event from another homeserver has waited for {{ $value | humanizeDuration }}",
        "Events in its room arrive late. Check the processes that receive transactions and persist "
        "events.",
    )
    yield Alert(
        "SynapseDeviceListsBehind",
        f"synapse_device_lists_changes_conversion_lag_seconds{{{every}}} > 600",
        "10m",
        WARNING,
        "Other homeservers learn of changed devices {{ $value | humanizeDuration }} late",
        "Their users cannot yet encrypt messages for these devices. Check the CPU time and the log "
        "of the process.",
    )


def consumers(monitored: Monitored) -> Iterator[Alert]:
    """Yield the alerts about push gateways and application services."""
    # The counters do not exist before they count something.
    yield Alert(
        "SynapsePushFails",
        "sum(rate(synapse_http_httppusher_http_pushes_failed_total"
        f"{{{matcher(monitored.pushers)}}}[15m]))\n"
        "  -\n"
        "(\n"
        "  sum(rate(synapse_http_httppusher_http_pushes_processed_total"
        f"{{{matcher(monitored.pushers)}}}[15m]))\n"
        "  or vector(0)\n"
        ")\n"
        "  > 0.01",
        "30m",
        WARNING,
        "More push notifications fail than succeed",
        "The log of the pusher names the push gateways: check whether the process can reach them.",
    )
    yield Alert(
        "SynapseAppserviceFails",
        "sum by (service) (increase(synapse_appservice_api_failed_transactions_total"
        f"{{{matcher(monitored.notifiers)}}}[20m])) > 0",
        "30m",
        WARNING,
        "The application service {{ $labels.service }} does not accept transactions",
        "Check whether it is running and can be reached; Synapse keeps its events and tries again.",
    )
    yield Alert(
        "SynapseAppserviceBehind",
        _behind(monitored, monitored.notifiers, "appservice_sender"),
        "10m",
        WARNING,
        "{{ $labels.instance }} has not processed {{ $value }} events over five minutes old",
        "Application services receive them late. Check the CPU time and the log of the process.",
    )
