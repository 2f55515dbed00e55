"""Which requests a reverse proxy sends to which worker types; part of the table of worker types.

The patterns are from docs/workers.md of the pinned Synapse; those that this page omits are listed
with a reason in tests/config/routes_test.py, which also compares them with Synapse's own servlets.
They match the path as the client sent it, with its percent-encoding and without the query, and use
only what PCRE and RE2 have in common.
"""

load(":route.bzl", "ADMIN", "ALL_CLIENT", "CLIENT", "FEDERATION", "NEW_CLIENT", "READ", "paths", "route")
load(":stream_routes.bzl", "READS_OF_STREAMS", "STREAM_ROUTES")

_INITIAL_SYNC = [
    CLIENT + "(api/v1|r0|v3)/initialSync$",
    CLIENT + "(api/v1|r0|v3)/rooms/[^/]+/initialSync$",
]
_SYNC = CLIENT + "(r0|v3)/sync$"
_SLIDING_SYNC = CLIENT + "unstable/org.matrix.simplified_msc3575/sync$"

# In the order in which a proxy must try them. Stream writers come first, because another process
# must pass each write on to them, and some processes refuse it.
ROUTES = STREAM_ROUTES + [
    route(
        "media",
        ["media_repository"],
        paths([
            "^/_matrix/media/",
            CLIENT + "v1/media/",
            FEDERATION + "v1/media/",
            ADMIN + "purge_media_cache$",
            ADMIN + "room/.*/media.*$",
            ADMIN + "user/.*/media.*$",
            ADMIN + "media/.*$",
            ADMIN + "quarantine_media/.*$",
            ADMIN + "users/.*/media$",
        ]),
        # A plan with such a worker sets enable_media_repo to false for all other processes.
        main = False,
        generic = False,
        # A second upload leaves at most a file that nothing refers to.
        repeatable = True,
    ),
    route(
        "initial_sync",
        ["initial_synchrotron", "synchrotron"],
        paths([_SYNC], READ),
        by = "user",
        initial = "since",
    ),
    route(
        "initial_room_sync",
        ["initial_synchrotron", "synchrotron"],
        paths(_INITIAL_SYNC, READ),
        by = "user",
    ),
    route(
        "initial_sliding_sync",
        ["initial_synchrotron", "synchrotron"],
        paths([_SLIDING_SYNC], since = 114),
        by = "user",
        initial = "pos",
        repeatable = True,
    ),
    route(
        "sync",
        ["synchrotron"],
        paths([_SYNC, CLIENT + "(api/v1|r0|v3)/events$"], READ) +
        paths([_SLIDING_SYNC], since = 114),
        by = "user",
        repeatable = True,
    ),
    route(
        "federation_transactions",
        ["federation_inbound", "federation_reader"],
        paths([FEDERATION + "v1/send/"]),
        by = "origin",
    ),
    route(
        "federation",
        ["federation_reader"],
        paths([
            FEDERATION + "v1/event/",
            FEDERATION + "v1/state/",
            FEDERATION + "v1/state_ids/",
            FEDERATION + "v1/backfill/",
            FEDERATION + "v1/get_missing_events/",
            FEDERATION + "v1/publicRooms",
            FEDERATION + "v1/query/",
            FEDERATION + "v1/make_join/",
            FEDERATION + "v1/make_leave/",
            FEDERATION + "v1/event_auth/",
            FEDERATION + "v1/exchange_third_party_invite/",
            FEDERATION + "v1/user/devices/",
            FEDERATION + "v1/user/keys/(query|claim)$",
            FEDERATION + "v1/openid/userinfo$",
            FEDERATION + "v1/hierarchy/",
            FEDERATION + "unstable/rooms/.*/complexity$",
            FEDERATION + "(v1|v2)/send_join/",
            FEDERATION + "(v1|v2)/send_leave/",
            FEDERATION + "(v1|v2)/invite/",
            "^/_matrix/key/v2/query",
            # The page has them only since 1.108 and 1.130, but workers have always served them.
            FEDERATION + "v1/make_knock/",
            FEDERATION + "v1/send_knock/",
            FEDERATION + "v1/version$",
        ]) +
        paths([FEDERATION + "v1/timestamp_to_event/"], since = 73) +
        paths([FEDERATION + "unstable/org.matrix.msc4370/extremities/"], since = 150),
        by = "origin",
        repeatable = True,
    ),
    route(
        "sending",
        ["event_creator"],
        paths([
            ALL_CLIENT + "rooms/.*/redact",
            ALL_CLIENT + "rooms/.*/send",
            ALL_CLIENT + "rooms/.*/(join|invite|leave|ban|unban|kick)(/|$)",
            ALL_CLIENT + "join/",
        ]) +
        # Before 1.163, docs/workers.md named no method; reads of the state go here as well.
        paths([ALL_CLIENT + "rooms/.*/state/"]) +
        paths([ALL_CLIENT + "knock/"], since = 79),
        by = "room",
    ),
    route(
        "rooms_and_profiles",
        ["event_creator"],
        paths([ALL_CLIENT + "createRoom(/|$)", ALL_CLIENT + "profile/"]) +
        paths([CLIENT + "unstable/uk.tcpip.msc4133/profile/"], since = 126),
        by = "user",
    ),
    route(
        "delayed_events",
        ["event_creator"],
        # Other requests under this path are served only by the main process.
        paths([CLIENT + "unstable/org.matrix.msc4140/delayed_events$"], READ, since = 116) +
        paths([CLIENT + "unstable/org.matrix.msc4140/delayed_events/[^/]+$"], READ, since = 163) +
        paths(
            [CLIENT + "unstable/org.matrix.msc4140/delayed_events/[^/]+/restart$"],
            since = 144,
        ),
        repeatable = True,
    ),
    route(
        "pagination",
        ["client_reader"],
        paths([ALL_CLIENT + "rooms/.*/messages$"]),
        by = "room",
    ),
    route(
        "user_directory",
        ["user_dir", "client_reader"],
        paths([NEW_CLIENT + "user_directory/search$"]),
        repeatable = True,
    ),
    route(
        "sso",
        ["client_reader"],
        paths([
            ALL_CLIENT + "login/sso/redirect",
            ALL_CLIENT + "login/cas/ticket$",
            "^/_synapse/client/pick_idp$",
            "^/_synapse/client/pick_username",
            "^/_synapse/client/new_user_consent$",
            "^/_synapse/client/sso_register$",
            "^/_synapse/client/oidc/callback$",
            "^/_synapse/client/saml2/authn_response$",
        ]),
        by = "one",
    ),
    route(
        "registration",
        ["client_reader"],
        paths([ALL_CLIENT + "login$", NEW_CLIENT + "register$"]) +
        paths([CLIENT + "v1/register/m.login.registration_token/validity$"], READ) +
        paths([NEW_CLIENT + "register/available$"], since = 80) +
        paths([NEW_CLIENT + "password_policy$"], since = 81),
    ),
    route("delegated_authentication", ["client_reader"], paths(["^/_synapse/mas/"], since = 136)),
    route(
        "reads",
        ["client_reader"],
        paths([
            ALL_CLIENT + "publicRooms$",
            ALL_CLIENT + "rooms/.*/joined_members$",
            ALL_CLIENT + "rooms/.*/context/.*$",
            ALL_CLIENT + "rooms/.*/members$",
            ALL_CLIENT + "rooms/.*/state$",
            ALL_CLIENT + "rooms/.*/event/",
            ALL_CLIENT + "events/",
            CLIENT + "v1/rooms/.*/hierarchy$",
            NEW_CLIENT + "account/3pid$",
            NEW_CLIENT + "account/whoami$",
            CLIENT + "versions$",
            ALL_CLIENT + "voip/turnServer$",
            ALL_CLIENT + "joined_rooms$",
            ALL_CLIENT + "search$",
            NEW_CLIENT + "keys/query$",
            NEW_CLIENT + "keys/changes$",
            NEW_CLIENT + "keys/claim$",
            NEW_CLIENT + "room_keys/",
            CLIENT + "(api/v1|r0|v3|unstable/.*)/rooms/.*/aliases",
            CLIENT + "unstable/im.nheko.summary/rooms/.*/summary$",
        ]) +
        # Since 1.135, workers also change devices: the route device_lists has these paths too.
        paths([NEW_CLIENT + "devices$"], READ) +
        paths(
            [CLIENT + "(v1|unstable)/rooms/.*/relations/", CLIENT + "v1/rooms/.*/threads$"],
            since = 70,
        ) +
        paths([CLIENT + "v1/rooms/.*/timestamp_to_event$"], since = 73) +
        paths([NEW_CLIENT + "user/.*/filter(/|$)"], since = 79) +
        paths([ALL_CLIENT + "directory/room/.*$", NEW_CLIENT + "capabilities$"], since = 82) +
        paths([NEW_CLIENT + "notifications$"], since = 93) +
        paths([CLIENT + "unstable/im.nheko.summary/summary/.*$"], since = 107) +
        paths([NEW_CLIENT + "account/deactivate$"], since = 135) +
        paths([CLIENT + "unstable/io.element.msc4308/thread_subscriptions$"], READ, since = 141) +
        paths([CLIENT + "v1/room_summary/.*$"], since = 156),
        repeatable = True,
    ),
    READS_OF_STREAMS,
    route(
        "administration",
        ["client_reader"],
        paths([ADMIN + "rooms/[^/]+$"], since = 130) +
        paths(["^/_synapse/admin/v2/users/[^/]+$"], READ, since = 145),
    ),
]
