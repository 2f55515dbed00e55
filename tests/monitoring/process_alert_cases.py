"""Series for the alerts about the processes of a plan, PostgreSQL, and replication."""

from tests.monitoring.alert_cases import JOBS, Case, between, of, series


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


def _streams(position: str) -> dict[str, str]:
    metric, stream = "synapse_storage_stream_current_position", 'stream_name="events"'
    return {
        series(metric, "event_persister", stream): "1000+100x60",
        series(metric, "synchrotron1", stream): position,
        # Nobody has written anything for a long time.
        series(metric, "event_persister", 'stream_name="typing"'): "5x60",
        series(metric, "synchrotron1", 'stream_name="typing"'): "5x60",
    }


_UP = {series("up", name): "1x60" for name in JOBS}
_TICK = "python_twisted_reactor_tick_time"
_REQUESTS = "synapse_outgoing_replication_requests_total"
_REQUEST = 'name="send_events"'
_STREAM = 'stream_name="events"'
_TIMEOUTS = "synapse_notifier_wait_for_stream_token_timeouts_total"

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
        summary="The Synapse worker typing-presence is down",
        minutes=9,
        not_before=7,
    ),
    Case(
        "SynapseWorkerDown",
        bad=_UP | {series("up", "synchrotron1"): "1x5 0x60"},
        good=_UP | {series("up", "synchrotron1"): "0x3 1x60"},
        labels=of("synchrotron1", severity="warning"),
        summary="The Synapse worker synchrotron1 is down",
        minutes=12,
        not_before=10,
    ),
    Case(
        "SynapseNotScraped",
        bad={name: values for name, values in _UP.items() if "pusher" not in name},
        good=_UP | {series("up", "pusher"): "0x60"},
        labels={"job": "pusher"},
        summary="Prometheus scrapes no Synapse process with the job pusher",
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
        not_before=12,
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
        summary="The Synapse processes run 2 different versions",
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
        bad=between(_TICK, "main", 0.5, 1.0),
        good=between(_TICK, "main", 0.2, 0.5),
        labels=of("main"),
        summary="A reactor tick of main takes 995ms (99th percentile)",
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
        "SynapseDatabasePoolFull",
        bad=_pool("10 10 10 8 " * 15),
        good=_pool("10 5 " * 30),
        labels=of("synchrotron1", name="database-master"),
        summary="synchrotron1 uses 96.67% of its database connections",
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
        good={series("synapse_replication_tcp_command_queue", "pusher", _STREAM): "200x3 50x60"},
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
        bad={series(_REQUESTS, "pusher", f'{_REQUEST}, code="ERR"'): "0+6x60"},
        good={
            series(_REQUESTS, "pusher", f'{_REQUEST}, code="200"'): "0+30x60",
            series(_REQUESTS, "pusher", f'{_REQUEST}, code="403"'): "0+30x60",
            series(_REQUESTS, "pusher", f'{_REQUEST}, code="ERR"'): "0+1x60",
        },
        labels=of("pusher"),
        summary="Requests of pusher to other processes fail",
        minutes=15,
        not_before=9,
    ),
    Case(
        "SynapseStreamTimeouts",
        bad={series(_TIMEOUTS, "synchrotron1", 'stream_key="room_key"'): "0+1x60"},
        good={series(_TIMEOUTS, "synchrotron1", 'stream_key="room_key"'): "0+0.3x60"},
        labels=of("synchrotron1", stream_key="room_key"),
        summary="Requests to synchrotron1 gave up waiting for room_key",
        minutes=15,
        not_before=9,
    ),
)
