"""The ONE table of worker types: what each application serves, and the duty it takes over."""

# What listens where, in every container: the predecessor's fixed ports.
PORTS = {
    "client": 8008,
    "federation": 8448,
    "metrics": 9000,
    "replication": 9093,
}

def _worker(doc, listeners = [], duty = {}, media = False):
    return {
        "doc": doc,
        "duty": duty,
        "listeners": listeners + ["metrics"],
        "main": False,
        "media": media,
    }

# Application -> its type. `duty`: the shared setting that takes the duty off the main process,
# the value that does, and the setting that may name the worker instead.
WORKER_TYPES = {
    "synapse.app.homeserver": {
        "doc": "the main process: everything that is routed nowhere else",
        "duty": {},
        "listeners": ["client", "federation", "metrics", "replication"],
        "main": True,
        "media": True,
    },
    "synapse.app.pusher": _worker(
        "sends push notifications",
        duty = {"instances": "pusher_instances", "setting": "start_pushers"},
    ),
    "synapse.app.synchrotron": _worker("answers /sync and /events", ["client"]),
    "synapse.app.appservice": _worker(
        "sends events to application services",
        duty = {"instances": "notify_appservices_from_worker", "setting": "notify_appservices"},
    ),
    "synapse.app.federation_reader": _worker("answers other servers", ["federation"]),
    "synapse.app.federation_sender": _worker(
        "sends events to other servers",
        duty = {"instances": "federation_sender_instances", "setting": "send_federation"},
    ),
    "synapse.app.media_repository": _worker("keeps and serves media", ["client"], media = True),
    "synapse.app.client_reader": _worker("answers reading client requests", ["client"]),
    "synapse.app.user_dir": _worker(
        "keeps and searches the user directory",
        ["client"],
        duty = {
            "instances": "update_user_directory_from_worker",
            "setting": "update_user_directory",
        },
    ),
    "synapse.app.frontend_proxy": _worker("takes key uploads", ["client"]),
    "synapse.app.event_creator": _worker("takes sends, joins and invites", ["client"]),
    "synapse.app.generic_worker": _worker("whatever the proxy routes to it", ["client"]),
}

def slug(application):
    """The short name of an application: `pusher` for `synapse.app.pusher`.

    Args:
        application: a key of WORKER_TYPES.

    Returns:
        The last part of the dotted name.
    """
    return application.split(".")[-1]
