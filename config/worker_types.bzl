"""The only table of worker types: what each does, its resources, streams and routes, and its app."""

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
        routes = [],
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
        routes: the path patterns to route to it (docs/workers.md of the pinned Synapse).
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
        "routes": routes,
        "since": since,
        "stream": stream,
    }

_CLIENT = "^/_matrix/client/"
_ALL = _CLIENT + "(api/v1|r0|v3|unstable)/"
_NEW = _CLIENT + "(r0|v3|unstable)/"
_FEDERATION = "^/_matrix/federation/"

# WorkerType -> its row. The names are the same as in the official image.
WORKER_TYPES = {
    "account_data": _worker_type(
        "writes account data",
        ["client"],
        [_NEW + ".*/tags", _NEW + ".*/account_data"],
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
        [
            _ALL + "publicRooms$",
            _ALL + "rooms/.*/joined_members$",
            _ALL + "rooms/.*/context/.*$",
            _ALL + "rooms/.*/members$",
            _ALL + "rooms/.*/state$",
            _ALL + "rooms/.*/messages$",
            _ALL + "rooms/.*/event/",
            _CLIENT + "(api/v1|r0|v3|unstable/.*)/rooms/.*/aliases",
            _CLIENT + "v1/rooms/.*/hierarchy$",
            _CLIENT + "(v1|unstable)/rooms/.*/relations/",
            _CLIENT + "v1/rooms/.*/threads$",
            _CLIENT + "v1/rooms/.*/timestamp_to_event$",
            _CLIENT + "v1/room_summary/.*$",
            _CLIENT + "unstable/im.nheko.summary/summary/.*$",
            _NEW + "account/3pid$",
            _NEW + "account/whoami$",
            _NEW + "account/deactivate$",
            _CLIENT + "versions$",
            _ALL + "voip/turnServer$",
            _ALL + "joined_rooms$",
            _ALL + "search$",
            _NEW + "user/.*/filter(/|$)",
            _ALL + "directory/room/.*$",
            _NEW + "capabilities$",
            _NEW + "notifications$",
            _NEW + "keys/query$",
            _NEW + "keys/changes$",
            _NEW + "keys/claim$",
            _NEW + "room_keys/",
            _ALL + "login$",
            _NEW + "register$",
            _NEW + "register/available$",
            _CLIENT + "v1/register/m.login.registration_token/validity$",
            _NEW + "password_policy$",
        ],
    ),
    "device_lists": _worker_type(
        "writes device lists",
        ["client"],
        [
            _CLIENT + "(r0|v3)/delete_devices$",
            _ALL + "devices(/|$)",
            _NEW + "keys/upload",
            _ALL + "keys/device_signing/upload$",
            _ALL + "keys/signatures/upload$",
        ],
        stream = "device_lists",
        since = 135,
    ),
    "event_creator": _worker_type(
        "handles sending, joining and inviting",
        ["client"],
        [
            _ALL + "createRoom$",
            _ALL + "rooms/.*/redact",
            _ALL + "rooms/.*/send",
            _ALL + "rooms/.*/state/",
            _ALL + "rooms/.*/(join|invite|leave|ban|unban|kick)$",
            _ALL + "join/",
            _ALL + "knock/",
            _ALL + "profile/",
            _CLIENT + "unstable/org.matrix.msc4140/delayed_events(/[^/]+(/restart)?)?$",
        ],
    ),
    "event_persister": _worker_type("writes events", stream = "events"),
    "federation_inbound": _worker_type(
        "takes the transactions of other servers",
        ["federation"],
        [_FEDERATION + "v1/send/"],
    ),
    "federation_reader": _worker_type(
        "serves requests from other homeservers",
        ["federation"],
        [
            _FEDERATION + "v1/version$",
            _FEDERATION + "v1/event/",
            _FEDERATION + "v1/state/",
            _FEDERATION + "v1/state_ids/",
            _FEDERATION + "v1/backfill/",
            _FEDERATION + "v1/get_missing_events/",
            _FEDERATION + "v1/publicRooms",
            _FEDERATION + "v1/query/",
            _FEDERATION + "v1/make_join/",
            _FEDERATION + "v1/make_leave/",
            _FEDERATION + "v1/make_knock/",
            _FEDERATION + "v1/send_knock/",
            _FEDERATION + "v1/event_auth/",
            _FEDERATION + "v1/timestamp_to_event/",
            _FEDERATION + "v1/exchange_third_party_invite/",
            _FEDERATION + "v1/user/devices/",
            _FEDERATION + "v1/hierarchy/",
            _FEDERATION + "v1/send/",
            _FEDERATION + "(v1|v2)/send_join/",
            _FEDERATION + "(v1|v2)/send_leave/",
            _FEDERATION + "(v1|v2)/invite/",
            "^/_matrix/key/v2/query",
        ],
    ),
    "federation_sender": _worker_type(
        "sends events to other homeservers",
        duty = "federation_sender_instances",
        legacy = "send_federation",
    ),
    "frontend_proxy": _worker_type("handles key uploads", ["client"], [_NEW + "keys/upload"]),
    "generic_worker": _worker_type("whatever your reverse proxy routes to it", ["client", "federation"]),
    "media_repository": _worker_type(
        "stores and serves media",
        ["client", "media"],
        [
            "^/_matrix/media/",
            _CLIENT + "v1/media/",
            _FEDERATION + "v1/media/",
            "^/_synapse/admin/v1/purge_media_cache$",
            "^/_synapse/admin/v1/room/.*/media.*$",
            "^/_synapse/admin/v1/user/.*/media.*$",
            "^/_synapse/admin/v1/media/.*$",
            "^/_synapse/admin/v1/quarantine_media/.*$",
            "^/_synapse/admin/v1/users/.*/media$",
        ],
        duty = "media_instance_running_background_jobs",
        also_writes = "quarantined_media_changes",
        also_needs = "quarantined_media_replicated",
    ),
    "presence": _worker_type(
        "keeps presence",
        ["client"],
        [_ALL + "presence/"],
        stream = "presence",
        many = False,
    ),
    "push_rules": _worker_type(
        "writes push rules",
        ["client"],
        [_ALL + "pushrules/"],
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
        [
            "^/_synapse/admin/v1/quarantine_media/.*$",
            "^/_synapse/admin/v1/room/.*/media/quarantine$",
            "^/_synapse/admin/v1/user/.*/media/quarantine$",
            "^/_synapse/admin/v1/media/quarantine/.*$",
            "^/_synapse/admin/v1/media/unquarantine/.*$",
        ],
        stream = "quarantined_media_changes",
        since = 152,
        main_writes = True,
    ),
    "receipts": _worker_type(
        "writes receipts",
        ["client"],
        [_NEW + "rooms/.*/receipt", _NEW + "rooms/.*/read_markers"],
        stream = "receipts",
    ),
    "synchrotron": _worker_type(
        "serves /sync and /events",
        ["client"],
        [
            _CLIENT + "(r0|v3)/sync$",
            _CLIENT + "(api/v1|r0|v3)/events$",
            _CLIENT + "(api/v1|r0|v3)/initialSync$",
            _CLIENT + "(api/v1|r0|v3)/rooms/[^/]+/initialSync$",
        ],
    ),
    "thread_subscriptions": _worker_type(
        "writes thread subscriptions",
        ["client"],
        [_CLIENT + "unstable/io.element.msc4306/rooms/.*/thread/.*/subscription$"],
        stream = "thread_subscriptions",
        since = 135,
    ),
    "to_device": _worker_type(
        "writes to-device messages",
        ["client"],
        [_NEW + "sendToDevice/"],
        stream = "to_device",
        many = False,
    ),
    "typing": _worker_type(
        "keeps who is typing",
        ["client"],
        [_ALL + "rooms/.*/typing"],
        stream = "typing",
        many = False,
    ),
    "user_dir": _worker_type(
        "maintains and searches the user directory",
        ["client"],
        [_NEW + "user_directory/search$"],
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
