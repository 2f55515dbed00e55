"""The only table of worker types: what each does, its resources and streams, and its app.

routes.bzl, the second half of the table, has the requests that a reverse proxy sends to them.
"""

# The ports in every container: the predecessor's fixed ports, and the one for health checks.
PORTS = {
    "client": 8008,
    "federation": 8448,
    "health": 8080,
    "metrics": 9000,
    "replication": 9093,
    "tcp_replication": 9092,
}

# Features that not every Synapse has: the first and last minor release 1.x with each (0: no bound).
# Each bound was determined from the source of the releases, or by running them.
FEATURES = {
    "health_resource": (78, 0),  # `health` may be named among a listener's resources.
    "instance_map_main": (84, 0),  # Workers find main there; before: worker_replication_host.
    "ipv6_replication": (85, 0),  # Before, the URL of host and port had no brackets.
    "quarantined_media_replicated": (159, 0),  # A worker that quarantines media tells the others.
    "secret_path": (126, 0),  # worker_replication_secret_path
    "tcp_replication": (0, 66),  # Workers can get replication from main's port, without Redis.
    "unix_sockets": (89, 0),  # For replication; for clients since 1.81.
    "worker_tls": (72, 0),  # Before, a worker's TLS listener served plain HTTP.
}

def _worker_type(
        doc,
        resources = [],
        stream = "",
        duty = "",
        legacy = "",
        many = True,
        since = 0,
        also_writes = "",
        also_needs = "",
        main_writes = False):
    """Returns the row of a worker type, which takes a duty over from the main process.

    Args:
        doc: a short description, which README.md repeats for each worker_app.
        resources: the resources of its listeners (`listeners` in the configuration manual).
        stream: the stream that it writes (`stream_writers`).
        duty: the shared setting that names the worker or workers of this type.
        legacy: the older shared setting that moves the duty to the old application if `false`.
        many: whether several workers may have the type.
        since: the first minor release 1.x with its stream; 0 for all supported releases.
        also_writes: the stream of another worker type that it must write too, because it serves requests
            that write to this stream.
        also_needs: the feature without which it must not write that other stream.
        main_writes: whether the main process must write its stream too. The main process always
            runs the database updates, regardless of run_background_tasks_on, and one of them
            writes to this stream.

    Returns:
        The row, a dict.
    """
    return {
        "also_needs": also_needs,
        "also_writes": also_writes,
        "doc": doc,
        "duty": duty,
        "legacy": legacy,
        "main_writes": main_writes,
        "many": many,
        "resources": resources,
        "since": since,
        "stream": stream,
    }

# WorkerType -> its row. The names are the same as in the official image, which has no
# initial_synchrotron.
WORKER_TYPES = {
    "account_data": _worker_type(
        "writes account data",
        ["client"],
        stream = "account_data",
        many = False,
    ),
    "appservice": _worker_type(
        "sends events to application services",
        duty = "notify_appservices_from_worker",
        legacy = "notify_appservices",
        many = False,
    ),
    "background_worker": _worker_type(
        "runs background tasks",
        duty = "run_background_tasks_on",
        many = False,
    ),
    "client_reader": _worker_type(
        "serves read-only client requests",
        ["client"],
    ),
    "device_lists": _worker_type(
        "writes device lists",
        ["client"],
        stream = "device_lists",
        since = 135,
    ),
    "event_creator": _worker_type(
        "handles sending, joining and inviting",
        ["client"],
    ),
    "event_persister": _worker_type("writes events", stream = "events"),
    "federation_inbound": _worker_type(
        "takes the transactions of other servers",
        ["federation"],
    ),
    "federation_reader": _worker_type(
        "serves requests from other homeservers",
        ["federation"],
    ),
    "federation_sender": _worker_type(
        "sends events to other homeservers",
        duty = "federation_sender_instances",
        legacy = "send_federation",
    ),
    "frontend_proxy": _worker_type("handles key uploads", ["client"]),
    "generic_worker": _worker_type("whatever your reverse proxy routes to it", ["client", "federation"]),
    "initial_synchrotron": _worker_type(
        "serves initial syncs, apart from the incremental ones",
        ["client"],
    ),
    "media_repository": _worker_type(
        "stores and serves media",
        ["client", "media"],
        duty = "media_instance_running_background_jobs",
        also_writes = "quarantined_media_changes",
        also_needs = "quarantined_media_replicated",
    ),
    "presence": _worker_type(
        "keeps presence",
        ["client"],
        stream = "presence",
        many = False,
    ),
    "push_rules": _worker_type(
        "writes push rules",
        ["client"],
        stream = "push_rules",
        many = False,
        since = 105,
    ),
    "pusher": _worker_type(
        "sends push notifications",
        duty = "pusher_instances",
        legacy = "start_pushers",
    ),
    "quarantined_media_changes": _worker_type(
        "takes media into quarantine",
        ["client", "media"],
        stream = "quarantined_media_changes",
        since = 152,
        main_writes = True,
    ),
    "receipts": _worker_type(
        "writes receipts",
        ["client"],
        stream = "receipts",
    ),
    "synchrotron": _worker_type(
        "serves /sync and /events",
        ["client"],
    ),
    "thread_subscriptions": _worker_type(
        "writes thread subscriptions",
        ["client"],
        stream = "thread_subscriptions",
        since = 135,
    ),
    "to_device": _worker_type(
        "writes to-device messages",
        ["client"],
        stream = "to_device",
        many = False,
    ),
    "typing": _worker_type(
        "keeps who is typing",
        ["client"],
        stream = "typing",
        many = False,
    ),
    "user_dir": _worker_type(
        "maintains and searches the user directory",
        ["client"],
        duty = "update_user_directory_from_worker",
        legacy = "update_user_directory",
        many = False,
    ),
}

# Worker types for which current Synapse still has an application called `synapse.app.TYPE`.
_APPLICATIONS = [
    "pusher",
    "synchrotron",
    "appservice",
    "federation_reader",
    "federation_sender",
    "media_repository",
    "client_reader",
    "user_dir",
    "frontend_proxy",
    "event_creator",
    "generic_worker",
]

# worker_app -> its worker type. The main process has every duty that no worker has.
WORKER_APPS = {
    "synapse.app.homeserver": {
        "doc": "the main process: handles everything that no worker does",
        "type": "",
    },
} | {
    "synapse.app." + worker_type: {
        "doc": WORKER_TYPES[worker_type]["doc"],
        "type": worker_type,
    }
    for worker_type in _APPLICATIONS
}

def slug(application):
    """Returns the short name of an application, such as `pusher` for `synapse.app.pusher`.

    Args:
        application: a key of WORKER_APPS.

    Returns:
        The last part of the dotted name.
    """
    return application.split(".")[-1]
