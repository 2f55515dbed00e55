"""Routes to the worker types that write a stream, or that read it."""

load(":route.bzl", "ADMIN", "ALL_CLIENT", "CLIENT", "NEW_CLIENT", "READ", "paths", "route")

_ACCOUNT_DATA = [NEW_CLIENT + ".*/tags", NEW_CLIENT + ".*/account_data"]
_PRESENCE = [ALL_CLIENT + "presence/"]
_PUSH_RULES = [ALL_CLIENT + "pushrules/"]
_SUBSCRIPTION = [CLIENT + "unstable/io.element.msc4306/rooms/.*/thread/.*/subscription$"]

# Another process must pass each write on to the writer of the stream, and some processes refuse it.
STREAM_ROUTES = [
    route(
        "typing",
        ["typing"],
        paths([ALL_CLIENT + "rooms/.*/typing"]),
        # Any other process answers 500: "on instance that is not typing writer".
        main = False,
        generic = False,
    ),
    route(
        "to_device",
        ["to_device"],
        paths([NEW_CLIENT + "sendToDevice/"]),
        by = "user",
        # Any other process answers 500, because of an assertion: "_can_write_to_device".
        main = False,
        generic = False,
    ),
    route("account_data", ["account_data"], paths(_ACCOUNT_DATA), by = "user", generic = False),
    route(
        "receipts",
        ["receipts"],
        paths([NEW_CLIENT + "rooms/.*/receipt", NEW_CLIENT + "rooms/.*/read_markers"]),
        by = "user",
        # Any other process answers 500, because of an assertion: "_can_write_to_receipts".
        main = False,
        generic = False,
        repeatable = True,
    ),
    route("presence", ["presence"], paths(_PRESENCE), by = "user", generic = False),
    route(
        "push_rules",
        ["push_rules"],
        paths(_PUSH_RULES, since = 105),
        by = "user",
        # Any other process answers 500 to a change: "Cannot handle PUT /push_rules on worker".
        main = False,
        generic = False,
    ),
    route(
        "thread_subscriptions",
        ["thread_subscriptions"],
        paths(_SUBSCRIPTION, since = 135),
        by = "user",
        # Any other process answers 500 to a change, because of an assertion in the same way.
        main = False,
        generic = False,
    ),
    route(
        "device_lists",
        ["device_lists"],
        paths(
            [
                CLIENT + "(r0|v3)/delete_devices$",
                ALL_CLIENT + "devices(/|$)",
                ALL_CLIENT + "keys/device_signing/upload$",
                ALL_CLIENT + "keys/signatures/upload$",
                CLIENT + "unstable/org.matrix.msc3814.v1/dehydrated_device$",
            ],
            since = 135,
        ),
        by = "user",
    ),
    route(
        "key_upload",
        ["device_lists", "frontend_proxy"],
        paths([NEW_CLIENT + "keys/upload"]),
        by = "user",
        repeatable = True,
    ),
    route(
        "media_quarantine",
        ["quarantined_media_changes"],
        paths([
            ADMIN + "quarantine_media/.*$",
            ADMIN + "room/.*/media/quarantine$",
            ADMIN + "user/.*/media/quarantine$",
            ADMIN + "media/quarantine/.*$",
            ADMIN + "media/unquarantine/.*$",
        ], since = 152),
        main = False,
        generic = False,
        repeatable = True,
    ),
]

# What only the writer of a stream may change, every worker may read.
READS_OF_STREAMS = route(
    "reads_of_streams",
    ["client_reader"],
    paths(_PUSH_RULES, READ) +
    paths(_ACCOUNT_DATA + _PRESENCE, READ, since = 122) +
    paths(_SUBSCRIPTION, READ, since = 135),
    by = "user",
)
