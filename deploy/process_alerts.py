"""The alerts about the processes of a plan and what they need: PostgreSQL, and each other."""

from collections.abc import Iterator

from deploy.alert import CRITICAL, WARNING, Alert
from deploy.monitored import Monitored, matcher
from deploy.routing import MAIN


def processes(monitored: Monitored) -> Iterator[Alert]:
    """Yield the alerts about the state of each process."""
    every = matcher(monitored.jobs)
    # The metrics listener runs in the reactor, so a process that hangs is down, too.
    yield Alert(
        "SynapseMainDown",
        f"up{{{matcher([MAIN])}}} == 0",
        "2m",
        CRITICAL,
        "The main process of Synapse is down",
        "Its metrics port does not answer: check whether it is running, its log, and whether "
        "PostgreSQL and Redis answer (healthcheck --ready).",
    )
    for jobs, wait, severity in (
        (monitored.unique, "2m", CRITICAL),
        (monitored.replaceable, "5m", WARNING),
    ):
        if jobs:
            yield Alert(
                "SynapseWorkerDown",
                f"up{{{matcher(jobs)}}} == 0",
                wait,
                severity,
                "The Synapse worker {{ $labels.instance }} is down",
                "Its metrics port does not answer: check whether it is running, and its log.",
            )
    yield Alert(
        "SynapseNotScraped",
        "\nor\n".join(f"absent(up{{{matcher([job])}}})" for job in monitored.jobs),
        "10m",
        WARNING,
        "Prometheus scrapes no Synapse process with the job {{ $labels.job }}",
        "No other alert can fire for it. Print the targets again with the verb prometheus and the "
        "same plan, and check the Targets page of Prometheus.",
    )
    yield Alert(
        "SynapseRestarting",
        f"changes(process_start_time_seconds{{{every}}}[30m]) > 2",
        "1m",
        WARNING,
        "{{ $labels.instance }} was restarted {{ $value }} times in half an hour",
        "Check its exit code and the end of its log; exit code 137 usually means that it ran out "
        "of memory.",
    )
    if monitored.has_workers:
        yield Alert(
            "SynapseVersionsDiffer",
            f"count(count by (version) (synapse_build_info{{{every}}})) > 1",
            "30m",
            WARNING,
            "The Synapse processes run {{ $value }} different versions",
            "Update all processes to the same image, the main process first.",
        )
    yield Alert(
        "SynapseCpuSaturated",
        f"rate(process_cpu_seconds_total{{{every}}}[5m]) > 0.9",
        "15m",
        WARNING,
        "{{ $labels.instance }} uses {{ $value | humanizePercentage }} of a core",
        "A Synapse process can use about one core at most. Move requests or duties from it to "
        "another worker, or add workers of its type.",
    )
    yield Alert(
        "SynapseReactorSlow",
        "histogram_quantile(\n"
        "  0.99,\n"
        "  sum by (instance, job, le) "
        f"(rate(python_twisted_reactor_tick_time_bucket{{{every}}}[5m]))\n"
        ") > 0.5",
        "15m",
        WARNING,
        "A reactor tick of {{ $labels.instance }} takes {{ $value | humanizeDuration }} "
        "(99th percentile)",
        "Everything else in the process waits during such a tick. Compare with its CPU time and "
        "its requests; large rooms and slow modules are common causes.",
    )
    yield Alert(
        "SynapseFilesExhausted",
        f"process_open_fds{{{every}}} / process_max_fds{{{every}}} > 0.8",
        "10m",
        WARNING,
        "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its file descriptors open",
        "Raise the limit of open files of its container (nofile), and find out what keeps "
        "connections open.",
    )


def database(monitored: Monitored) -> Iterator[Alert]:
    """Yield the alerts about the connections to PostgreSQL."""
    pool = f'{matcher(monitored.jobs)}, name=~"database-.+"'
    yield Alert(
        "SynapseDatabasePoolFull",
        f"avg_over_time(synapse_threadpool_working_threads{{{pool}}}[5m])\n"
        "  /\n"
        f"synapse_threadpool_max_threads{{{pool}}}\n"
        "  > 0.9",
        "5m",
        WARNING,
        "{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its database connections",
        "Look for slow queries in PostgreSQL. If it has capacity left, raise cp_max, and "
        "max_connections in PostgreSQL accordingly, or add workers.",
    )
    every = matcher(monitored.jobs)
    yield Alert(
        "SynapseDatabaseWait",
        f"rate(synapse_storage_schedule_time_sum{{{every}}}[5m])\n"
        "  /\n"
        f"rate(synapse_storage_schedule_time_count{{{every}}}[5m])\n"
        "  > 0.1",
        "10m",
        WARNING,
        "{{ $labels.instance }} waits {{ $value | humanizeDuration }} for a database connection",
        "See SynapseDatabasePoolFull; a process whose CPU is saturated also waits longer.",
    )
    yield Alert(
        "SynapseDatabaseUpdateAborted",
        f"synapse_background_update_status{{{every}}} == -1",
        "5m",
        WARNING,
        "Background updates of the database were aborted on {{ $labels.instance }}",
        "Find the failed update in the log of main; later releases need it. Restart main once you "
        "have removed the cause.",
    )


def replication(monitored: Monitored) -> Iterator[Alert]:
    """Yield the alerts about the communication between processes."""
    every = matcher(monitored.jobs)
    yield Alert(
        "SynapseReplicationDown",
        f"synapse_replication_tcp_resource_total_connections{{{every}}} == 0",
        "1m",
        CRITICAL,
        "{{ $labels.instance }} has no connection to Redis",
        "It receives nothing from other processes, so its users see no new messages. Check whether "
        "Redis answers, and the log of the process.",
    )
    yield Alert(
        "SynapseReplicationQueue",
        f"synapse_replication_tcp_command_queue{{{every}}} > 100",
        "5m",
        WARNING,
        "{{ $labels.instance }} has {{ $value }} unprocessed updates of {{ $labels.stream_name }}",
        "It receives more than it can process: check its CPU time and its database connections.",
    )
    # Not the difference of two current values: processes are scraped at different times.
    yield Alert(
        "SynapseReplicationLag",
        f"max by (stream_name) (synapse_storage_stream_current_position{{{every}}} offset 2m)\n"
        "  - on (stream_name) group_right ()\n"
        f"synapse_storage_stream_current_position{{{every}}}\n"
        "  > 0",
        "3m",
        WARNING,
        "{{ $labels.instance }} is over two minutes behind in {{ $labels.stream_name }}",
        "See SynapseReplicationDown and SynapseReplicationQueue; if neither fires, restart the "
        "process, or the writer of the stream.",
    )
    yield Alert(
        "SynapseReplicationRequestsFail",
        "sum by (instance, job) "
        f'(rate(synapse_outgoing_replication_requests_total{{{every}, code=~"5..|ERR"}}[5m]))\n'
        "  > 0.05",
        "10m",
        WARNING,
        "Requests of {{ $labels.instance }} to other processes fail",
        "Its log names the process that it cannot reach: check whether that process is up, whether "
        "its name resolves, and whether both have the same replication secret.",
    )
    yield Alert(
        "SynapseStreamTimeouts",
        "sum by (instance, job, stream_key) "
        f"(increase(synapse_notifier_wait_for_stream_token_timeouts_total{{{every}}}[10m])) > 5",
        "5m",
        WARNING,
        "Requests to {{ $labels.instance }} gave up waiting for {{ $labels.stream_key }}",
        "Clients of this process get outdated answers: see the other alerts about replication.",
    )
