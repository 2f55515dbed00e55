"""For each alert, series with which it fires, and series with which it does not.

The values are in the notation of promtool's unit tests: `a+bxn` starts at a, and adds b n times,
once a minute; `axn` is a, and n times a again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

PLAN = "synchrotron:2, typing+presence, event_persister, federation_sender, appservice, pusher"
JOBS = {
    "main": "main",
    "synchrotron1": "synchrotron",
    "typing-presence": "typing+presence",
    "event_persister": "event_persister",
    "federation_sender": "federation_sender",
    "appservice": "appservice",
    "pusher": "pusher",
}


@dataclass(frozen=True)
class Case:
    """One alert.

    Attributes:
        alert: its name.
        bad: series with which it fires within ``minutes``.
        good: series with which it never does.
        labels: the labels of the alert that fires, without those of its rule.
        summary: its summary.
        minutes: when it has fired.
        not_before: a minute at which it has not fired yet, with the same series.
    """

    alert: str
    bad: Mapping[str, str]
    good: Mapping[str, str]
    labels: Mapping[str, str]
    summary: str
    minutes: int
    not_before: int = field(default=1)


def series(metric: str, instance: str, labels: str = "") -> str:
    """Return the name of a series of a process, as Prometheus stores it."""
    more = f", {labels}" if labels else ""
    return f'{metric}{{instance="{instance}", job="{JOBS[instance]}"{more}}}'


def of(instance: str, **labels: str) -> dict[str, str]:
    """Return the labels of an alert about a process."""
    return {"instance": instance, "job": JOBS[instance]} | labels


def _responses(failed: str, succeeded: str) -> dict[str, str]:
    metric = "synapse_http_server_responses_total"
    return {
        series(metric, "main", 'code="500", method="GET"'): failed,
        series(metric, "main", 'code="200", method="GET"'): succeeded,
    }


def _histogram(metric: str, instance: str, labels: str, below: str, above: str) -> dict[str, str]:
    """Return a histogram of which all values are between 1 and 10, if ``below`` is constant."""
    more = f"{labels}, " if labels else ""
    return {
        series(f"{metric}_bucket", instance, f'{more}le="1.0"'): below,
        series(f"{metric}_bucket", instance, f'{more}le="10.0"'): above,
        series(f"{metric}_bucket", instance, f'{more}le="+Inf"'): above,
    }


def _pool(working: str) -> dict[str, str]:
    pool = 'name="database-master"'
    return {
        series("synapse_threadpool_working_threads", "synchrotron1", pool): working,
        series("synapse_threadpool_max_threads", "synchrotron1", pool): "10x60",
        # Other pools of threads do not count.
        series("synapse_threadpool_working_threads", "main", 'name="default"'): "10x60",
        series("synapse_threadpool_max_threads", "main", 'name="default"'): "10x60",
    }


def _waits(seconds: str) -> dict[str, str]:
    return {
        series("synapse_storage_schedule_time_sum", "main"): seconds,
        series("synapse_storage_schedule_time_count", "main"): "0+100x60",
    }


def _positions(instance: str, name: str, position: str) -> dict[str, str]:
    return {
        series("synapse_event_persisted_position", "event_persister"): "1000+100x60",
        series("synapse_event_processing_positions", instance, f'name="{name}"'): position,
    }


def _streams(position: str) -> dict[str, str]:
    metric, stream = "synapse_storage_stream_current_position", 'stream_name="events"'
    return {
        series(metric, "event_persister", stream): "1000+100x60",
        series(metric, "synchrotron1", stream): position,
        # Nobody has written anything for a long time.
        series(metric, "event_persister", 'stream_name="typing"'): "5x60",
        series(metric, "synchrotron1", 'stream_name="typing"'): "5x60",
    }


_PUSHES = "synapse_http_httppusher_http_pushes"
_UP = {series("up", name): "1x60" for name in JOBS}
_TICK = "python_twisted_reactor_tick_time"
_SEND = 'servlet="RoomSendEventRestServlet", code="200", method="PUT", tag=""'
_SENDS = "synapse_http_server_response_time_seconds"
_SYNCS = "synapse_sliding_sync_processing_time"
_QUEUE = "synapse_background_process_in_flight_count"
_WAITING = 'name="persist_events"'
_REQUESTS = "synapse_outgoing_replication_requests_total"
_REQUEST = 'name="send_events"'
_STREAM = 'stream_name="events"'
_CALLS = "synapse_appservice_api_failed_transactions_total"
_TIMEOUTS = "synapse_notifier_wait_for_stream_token_timeouts_total"
_STAGED = "synapse_federation_server_oldest_inbound_pdu_in_staging"

CASES = (
    Case(
        "SynapseMainDown",
        bad=_UP | {series("up", "main"): "1x5 0x60"},
        good=_UP | {series("up", "main"): "1x5 0 1x60", series("up", "pusher"): "0x60"},
        labels=of("main"),
        summary="The main process of Synapse is down",
        minutes=9,
        not_before=7,
    ),
    Case(
        "SynapseWorkerDown",
        bad=_UP | {series("up", "typing-presence"): "1x5 0x60"},
        good=_UP | {series("up", "main"): "0x60", series("up", "pusher"): "1x5 0 1x60"},
        labels=of("typing-presence", severity="critical"),
        summary="The worker typing-presence of Synapse is down",
        minutes=9,
        not_before=7,
    ),
    Case(
        "SynapseWorkerDown",
        bad=_UP | {series("up", "synchrotron1"): "1x5 0x60"},
        good=_UP | {series("up", "synchrotron1"): "0x3 1x60"},
        labels=of("synchrotron1", severity="warning"),
        summary="The worker synchrotron1 of Synapse is down",
        minutes=12,
        not_before=10,
    ),
    Case(
        "SynapseNotScraped",
        bad={name: values for name, values in _UP.items() if "pusher" not in name},
        good=_UP | {series("up", "pusher"): "0x60"},
        labels={"job": "pusher"},
        summary="Prometheus scrapes no process of Synapse with the job pusher",
        minutes=11,
        not_before=9,
    ),
    Case(
        "SynapseRestarting",
        bad={series("process_start_time_seconds", "pusher"): "100x3 400x3 700x3 1000x60"},
        good={series("process_start_time_seconds", "pusher"): "100x3 400x3 700x60"},
        labels=of("pusher"),
        summary="pusher was restarted 3 times in half an hour",
        minutes=14,
        not_before=11,
    ),
    Case(
        "SynapseVersionsDiffer",
        bad={
            series("synapse_build_info", "main", 'version="1.163.2"'): "1x60",
            series("synapse_build_info", "pusher", 'version="1.163.1"'): "1x60",
        },
        good={
            series("synapse_build_info", "main", 'version="1.163.2"'): "1x60",
            series("synapse_build_info", "pusher", 'version="1.163.2"'): "1x60",
        },
        labels={},
        summary="The processes of Synapse run 2 different versions",
        minutes=31,
        not_before=29,
    ),
    Case(
        "SynapseCpuSaturated",
        bad={series("process_cpu_seconds_total", "main"): "0+57x60"},
        good={series("process_cpu_seconds_total", "main"): "0+48x60"},
        labels=of("main"),
        summary="main uses 95% of a core",
        minutes=20,
        not_before=14,
    ),
    Case(
        "SynapseReactorSlow",
        bad=_histogram(_TICK, "main", "", "0x60", "0+60x60"),
        good={
            series(f"{_TICK}_bucket", "main", 'le="0.1"'): "0+60x60",
            series(f"{_TICK}_bucket", "main", 'le="+Inf"'): "0+60x60",
        },
        labels=of("main"),
        summary="The reactor of main is blocked for 9.91s",
        minutes=20,
        not_before=14,
    ),
    Case(
        "SynapseFilesExhausted",
        bad={
            series("process_open_fds", "main"): "900x60",
            series("process_max_fds", "main"): "1000x60",
        },
        good={
            series("process_open_fds", "main"): "700x60",
            series("process_max_fds", "main"): "1000x60",
        },
        labels=of("main"),
        summary="main has 90% of its file descriptors open",
        minutes=11,
        not_before=9,
    ),
    Case(
        "SynapseErrors",
        bad=_responses("0+60x60", "0+540x60"),
        good=_responses("0+1x60", "0+3x60"),  # A third of few requests.
        labels=of("main"),
        summary="main answers 10% of its requests with 5xx",
        minutes=15,
        not_before=9,
    ),
    Case(
        "SynapseSendSlow",
        bad=_histogram(_SENDS, "main", _SEND, "0x60", "0+60x60"),
        good=_histogram(_SENDS, "main", _SEND, "0+60x60", "0+60x60"),
        labels={},
        summary="Sending a message takes 9.55s (95th percentile)",
        minutes=15,
        not_before=9,
    ),
    Case(
        "SynapseSyncSlow",
        bad=_histogram(_SYNCS, "synchrotron1", 'initial="True"', "0x60", "0+60x60"),
        good=_histogram(_SYNCS, "synchrotron1", 'initial="True"', "0+60x60", "0+60x60"),
        labels={},
        summary="A sliding sync takes 9.55s without waiting (95th percentile)",
        minutes=20,
        not_before=14,
    ),
    Case(
        "SynapseDatabasePoolFull",
        bad=_pool("10x60"),
        good=_pool("10 5 10 5 10 5 10 5 10 5 10 5 10 5 10 5 10 5 10 5 10 5 10 5 10 5 10 5 10 5"),
        labels=of("synchrotron1", name="database-master"),
        summary="synchrotron1 uses 100% of its database connections",
        minutes=10,
        not_before=4,
    ),
    Case(
        "SynapseDatabaseWait",
        bad=_waits("0+20x60"),
        good=_waits("0+5x60"),
        labels=of("main"),
        summary="main waits 200ms for a database connection",
        minutes=15,
        not_before=9,
    ),
    Case(
        "SynapseDatabaseUpdateAborted",
        bad={series("synapse_background_update_status", "main"): "-1x60"},
        good={series("synapse_background_update_status", "main"): "2x60"},
        labels=of("main"),
        summary="Background updates of the database were aborted on main",
        minutes=6,
        not_before=4,
    ),
    Case(
        "SynapseReplicationDown",
        bad={series("synapse_replication_tcp_resource_total_connections", "pusher"): "0x60"},
        good={series("synapse_replication_tcp_resource_total_connections", "pusher"): "1x60"},
        labels=of("pusher"),
        summary="pusher has no connection to Redis",
        minutes=2,
        not_before=0,
    ),
    Case(
        "SynapseReplicationQueue",
        bad={series("synapse_replication_tcp_command_queue", "pusher", _STREAM): "200x60"},
        good={series("synapse_replication_tcp_command_queue", "pusher", _STREAM): "200x3 0x60"},
        labels=of("pusher", stream_name="events"),
        summary="pusher has 200 unprocessed updates of events",
        minutes=6,
        not_before=4,
    ),
    Case(
        "SynapseReplicationLag",
        bad=_streams("1000x60"),
        # One minute behind, which scrapes at different times could explain.
        good=_streams("1000 1000+100x59"),
        labels=of("synchrotron1", stream_name="events"),
        summary="synchrotron1 is over two minutes behind in events",
        minutes=8,
        not_before=5,
    ),
    Case(
        "SynapseReplicationRequestsFail",
        bad={series(_REQUESTS, "pusher", f'{_REQUEST}, code="ERR"'): "0+30x60"},
        good={
            series(_REQUESTS, "pusher", f'{_REQUEST}, code="200"'): "0+30x60",
            series(_REQUESTS, "pusher", f'{_REQUEST}, code="403"'): "0+30x60",
            series(_REQUESTS, "pusher", f'{_REQUEST}, code="ERR"'): "0x30 1x30",
        },
        labels=of("pusher"),
        summary="Requests of pusher to other processes fail",
        minutes=15,
        not_before=9,
    ),
    Case(
        "SynapseStreamTimeouts",
        bad={series(_TIMEOUTS, "synchrotron1", 'stream_key="room_key"'): "0+3x60"},
        good={series(_TIMEOUTS, "synchrotron1", 'stream_key="room_key"'): "0x10 3x50"},
        labels=of("synchrotron1", stream_key="room_key"),
        summary="Requests at synchrotron1 do not wait for room_key any longer",
        minutes=15,
        not_before=4,
    ),
    Case(
        "SynapseEventPersistQueue",
        bad={series(_QUEUE, "event_persister", _WAITING): "25x60"},
        good={
            series(_QUEUE, "event_persister", _WAITING): "2x60",
            series(_QUEUE, "event_persister", 'name="fetch_events"'): "25x60",
            series(_QUEUE, "main", _WAITING): "25x60",  # It persists nothing in this plan.
        },
        labels=of("event_persister", name="persist_events"),
        summary="At event_persister, events of 25 rooms wait to be persisted",
        minutes=10,
        not_before=4,
    ),
    Case(
        "SynapseFederationBehind",
        bad=_positions("federation_sender", "federation_sender", "1000x60"),
        good=_positions("federation_sender", "federation_sender", "1000 1000+100x59"),
        labels=of("federation_sender", name="federation_sender"),
        summary="federation_sender has not processed 1500 events of over five minutes ago",
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
                "2000x20 10x40"
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
        good={series("synapse_device_lists_changes_conversion_lag_seconds", "main"): "30x60"},
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
            series(f"{_PUSHES}_processed_total", "pusher"): "0+12x60",
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
        bad=_positions("appservice", "appservice_sender", "1000x60"),
        good=_positions("appservice", "appservice_sender", "1000 1000+100x59"),
        labels=of("appservice", name="appservice_sender"),
        summary="appservice has not processed 1500 events of over five minutes ago",
        minutes=20,
        not_before=15,
    ),
)
