"""The panels about the processes of a plan and what they need: PostgreSQL, and each other."""

from collections.abc import Iterator

from deploy.panel import CHOSEN, Panel, Query, each, quantile_of, rate


def processes() -> Iterator[Panel]:
    yield Panel(
        "Up",
        "short",
        (Query(f"up{{{CHOSEN}}}", "{{instance}}"),),
        visualization="state-timeline",
    )
    yield each(
        "CPU",
        "percentunit",
        rate("process_cpu_seconds_total"),
        "Of one core; a process can use about one core at most.",
    )
    yield each("Memory", "bytes", f"process_resident_memory_bytes{{{CHOSEN}}}")
    yield each(
        "Reactor tick time",
        "s",
        quantile_of("0.99", "python_twisted_reactor_tick_time_bucket", by="instance, "),
        "0.99 quantile: how long everything else in the process waits.",
    )
    yield each(
        "Scrape time",
        "s",
        f"scrape_duration_seconds{{{CHOSEN}}}",
        "The metrics are served by the same thread as all requests.",
    )
    yield each(
        "Garbage collection",
        "percentunit",
        f"sum by (instance) ({rate('python_gc_time_sum')})",
        "Share of the time.",
    )
    yield each(
        "Open file descriptors",
        "percentunit",
        f"process_open_fds{{{CHOSEN}}} / process_max_fds{{{CHOSEN}}}",
        "Share of the limit.",
    )
    yield each(
        "Uptime", "s", f"time() - process_start_time_seconds{{{CHOSEN}}}", "Drops at a restart."
    )


def database() -> Iterator[Panel]:
    pool = f'{CHOSEN}, name=~"database-.+"'
    yield each(
        "Connections in use",
        "percentunit",
        f"synapse_threadpool_working_threads{{{pool}}} / synapse_threadpool_max_threads{{{pool}}}",
        "Share of cp_max.",
    )
    yield each(
        "Waiting time for a connection",
        "s",
        f"{rate('synapse_storage_schedule_time_sum')}\n  /\n"
        f"{rate('synapse_storage_schedule_time_count')}",
        "Mean.",
    )
    transactions = rate("synapse_storage_transaction_time_sum_total")
    yield Panel(
        "Transactions that take the most time",
        "percentunit",
        (Query(f"topk(10, sum by (desc) ({transactions}))", "{{desc}}"),),
        "Total time spent in them per second.",
    )
    requests = rate("synapse_http_server_response_db_txn_duration_seconds_total")
    background = rate("synapse_background_process_db_txn_duration_seconds_total")
    yield Panel(
        "Transactions of requests and background processes",
        "percentunit",
        (
            Query(f"topk(5, sum by (servlet) ({requests}))", "{{servlet}}"),
            Query(f"topk(5, sum by (name) ({background}))", "{{name}}"),
        ),
    )
    yield each(
        "Background updates",
        "short",
        f"synapse_background_update_status{{{CHOSEN}}}",
        "-1 aborted, 0 disabled, 1 not started, 2 running, 3 complete. Only main runs them.",
    )


def caches() -> Iterator[Panel]:
    hits, lookups = rate("synapse_util_caches_cache_hits"), rate("synapse_util_caches_cache")
    yield each(
        "Cache hit ratio",
        "percentunit",
        f"sum by (instance) ({hits}) / sum by (instance) ({lookups})",
    )
    evicted = rate("synapse_util_caches_cache_evicted_size", f'{CHOSEN}, reason="size"')
    yield Panel(
        "Evictions because a cache is full",
        "ops",
        (Query(f"topk(10, sum by (name) ({evicted}))", "{{name}}"),),
        "Caches that could be larger; see caches in Synapse's configuration.",
    )


def replication() -> Iterator[Panel]:
    received = rate("synapse_replication_tcp_protocol_inbound_rdata_count_total")
    yield Panel(
        "Received updates by stream",
        "ops",
        (Query(f"sum by (stream_name) ({received})", "{{stream_name}}"),),
    )
    yield each(
        "Unprocessed updates",
        "short",
        f"sum by (instance) (synapse_replication_tcp_command_queue{{{CHOSEN}}})",
    )
    yield each(
        "Connections",
        "short",
        f"synapse_replication_tcp_resource_total_connections{{{CHOSEN}}}",
        "To Redis; 0 if it is lost.",
    )
    position = f"synapse_storage_stream_current_position{{{CHOSEN}}}"
    yield Panel(
        "Behind the most advanced process",
        "short",
        (
            Query(
                f"max by (stream_name) ({position})\n"
                f"  - on (stream_name) group_right ()\n{position}\n  > 0",
                "{{instance}}: {{stream_name}}",
            ),
        ),
        "In updates. Ignore short peaks: the processes are scraped at different times.",
    )
    requests = rate("synapse_outgoing_replication_requests_total")
    yield Panel(
        "Requests between processes",
        "reqps",
        (Query(f"sum by (name, code) ({requests})", "{{name}} {{code}}"),),
    )
