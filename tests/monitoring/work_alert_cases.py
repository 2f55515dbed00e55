"""Series for the alerts about clients, other homeservers and other services."""

from tests.monitoring.alert_cases import Case, between, of, series


def _responses(instance: str, failed: str, succeeded: str) -> dict[str, str]:
    metric = "synapse_http_server_responses_total"
    return {
        series(metric, instance, 'code="500", method="GET"'): failed,
        series(metric, instance, 'code="200", method="GET"'): succeeded,
    }


def _positions(instance: str, name: str, minutes: int) -> dict[str, str]:
    """Return positions of which one is some minutes behind; ten events come every minute."""
    metric = "synapse_event_processing_positions"
    return {
        series("synapse_event_persisted_position", "event_persister"): "1000+10x60",
        series(metric, instance, f'name="{name}"'): f"1000x{minutes - 1} 1000+10x60",
        # Not every position is that of a consumer of all events.
        series(metric, instance, 'name="other"'): "0x60",
    }


_PUSHES = "synapse_http_httppusher_http_pushes"
_SEND = 'servlet="RoomSendEventRestServlet", code="200", method="PUT", tag=""'
_SLOW_SYNC = _SEND.replace("RoomSendEvent", "Sync")
_SLOW_ERROR = _SEND.replace("200", "500")
_SENDS = "synapse_http_server_response_time_seconds"
_SYNCS = "synapse_sliding_sync_processing_time"
_QUEUE = "synapse_background_process_in_flight_count"
_WAITING = 'name="persist_events"'
_CALLS = "synapse_appservice_api_failed_transactions_total"
_STAGED = "synapse_federation_server_oldest_inbound_pdu_in_staging"

CASES = (
    Case(
        "SynapseErrors",
        bad=_responses("main", "0+6x60", "0+54x60"),
        # A third of few requests, and a few of many.
        good=_responses("main", "0+1x60", "0+3x60") | _responses("pusher", "0+18x60", "0+582x60"),
        labels=of("main"),
        summary="main answers 10% of its requests with 5xx",
        minutes=15,
        not_before=9,
    ),
    Case(
        "SynapseSendSlow",
        bad=between(_SENDS, "main", 2.5, 5.0, _SEND),
        good=between(_SENDS, "main", 0.75, 1.0, _SEND)
        | between(_SENDS, "main", 7.5, 10.0, _SLOW_SYNC)
        | between(_SENDS, "main", 7.5, 10.0, _SLOW_ERROR),
        labels={},
        summary="Sending a message takes 4.875s (95th percentile)",
        minutes=15,
        not_before=9,
    ),
    Case(
        "SynapseSyncSlow",
        bad=between(_SYNCS, "synchrotron1", 5.0, 7.5, 'initial="True"'),
        good=between(_SYNCS, "synchrotron1", 2.5, 5.0, 'initial="True"'),
        labels={},
        summary="A sliding sync takes 7.375s without waiting (95th percentile)",
        minutes=20,
        not_before=14,
    ),
    Case(
        "SynapseEventPersistQueue",
        bad={series(_QUEUE, "event_persister", _WAITING): "30 5 5 " * 20},
        good={
            series(_QUEUE, "event_persister", _WAITING): "5x60",
            series(_QUEUE, "event_persister", 'name="fetch_events"'): "25x60",
            series(_QUEUE, "main", _WAITING): "25x60",  # It persists nothing in this plan.
        },
        labels=of("event_persister", name="persist_events"),
        summary="At event_persister, events of 13.33 rooms wait to be persisted",
        minutes=10,
        not_before=4,
    ),
    Case(
        "SynapseFederationBehind",
        bad=_positions("federation_sender", "federation_sender", minutes=9),
        good=_positions("federation_sender", "federation_sender", minutes=6),
        labels=of("federation_sender", name="federation_sender"),
        summary="federation_sender has not processed 40 events over five minutes old",
        minutes=20,
        not_before=15,
    ),
    Case(
        "SynapseFederationQueue",
        bad={
            series("synapse_federation_transaction_queue_pending_pdus", "federation_sender"): (
                "2000x60"
            )
        },
        good={
            series("synapse_federation_transaction_queue_pending_pdus", "federation_sender"): (
                "2000x20 500x40"
            )
        },
        labels=of("federation_sender"),
        summary="At federation_sender, 2000 events wait to be sent to other homeservers",
        minutes=31,
        not_before=29,
    ),
    Case(
        "SynapseFederationInbound",
        bad={series(_STAGED, "main"): "900000x60", series(_STAGED, "pusher"): "890000x60"},
        good={series(_STAGED, "main"): "500000x60"},
        labels={},
        summary="An event from another homeserver has waited for 15m 0s",
        minutes=16,
        not_before=14,
    ),
    Case(
        "SynapseDeviceListsBehind",
        bad={series("synapse_device_lists_changes_conversion_lag_seconds", "main"): "900x60"},
        good={series("synapse_device_lists_changes_conversion_lag_seconds", "main"): "300x60"},
        labels=of("main"),
        summary="Other homeservers learn of changed devices 15m 0s late",
        minutes=11,
        not_before=9,
    ),
    Case(
        "SynapsePushFails",
        # Until one succeeds, its counter does not exist.
        bad={series(f"{_PUSHES}_failed_total", "pusher"): "0+6x60"},
        good={
            series(f"{_PUSHES}_failed_total", "pusher"): "0+6x60",
            series(f"{_PUSHES}_processed_total", "pusher"): "0+5.7x60",
        },
        labels={},
        summary="More push notifications fail than succeed",
        minutes=35,
        not_before=29,
    ),
    Case(
        "SynapseAppserviceFails",
        # Synapse waits longer after each failure, up to about eight minutes.
        bad={series(_CALLS, "appservice", 'service="bridge"'): "1x7 2x7 3x7 4x7 5x7 6x7 7x7"},
        good={series(_CALLS, "appservice", 'service="bridge"'): "1x7 2x60"},
        labels={"service": "bridge"},
        summary="The application service bridge does not accept transactions",
        minutes=45,
        not_before=29,
    ),
    Case(
        "SynapseAppserviceBehind",
        bad=_positions("appservice", "appservice_sender", minutes=9),
        good=_positions("appservice", "appservice_sender", minutes=6),
        labels=of("appservice", name="appservice_sender"),
        summary="appservice has not processed 40 events over five minutes old",
        minutes=20,
        not_before=15,
    ),
)
