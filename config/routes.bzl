"""Which requests a reverse proxy sends to which worker types; part of the table of worker types.

The patterns are from docs/workers.md of the pinned Synapse; those that this page omits are listed
with a reason in tests/config/routes_test.py, which also compares them with Synapse's own servlets.
They match the path as the client sent it, with its percent-encoding and without the query, and use
only what PCRE and RE2 have in common.
"""

def _paths(patterns, methods = [], since = 0):
    """Returns rows for paths: patterns with the methods and the releases to which they apply.

    Args:
        patterns: regular expressions for the path.
        methods: the HTTP methods; if empty, all of them.
        since: the first minor release 1.x whose generic workers serve them; 0 for all supported ones.

    Returns:
        A list of dicts.
    """
    return [{"methods": methods, "pattern": pattern, "since": since} for pattern in patterns]

def _route(
        name,
        types,
        paths,
        by = "token",
        initial = "",
        main = True,
        generic = True,
        repeatable = False):
    """Returns a group of paths that go to the same workers.

    Args:
        name: the name of the group.
        types: the worker types that serve it, the preferred one first: the first one that the plan
            has gets all its requests.
        paths: the rows of `_paths`.
        by: how to choose among several workers of one type: all requests of one `room`, `user`,
            `token` or `origin` (the server that sent the request) go to the same one; `one` if
            all requests must go to a single worker.
        initial: if set, only initial syncs belong to the group: requests without this query
            parameter, or with `full_state=true`.
        main: whether the main process serves it too, so that it can stand in for the workers.
        generic: whether a generic_worker serves it, if the plan has none of `types`.
        repeatable: whether a POST may be repeated after its connection was lost, because a second
            one changes nothing more. Other methods may always be repeated: Synapse's PUT requests
            have transaction IDs, or set a value.

    Returns:
        A dict.
    """
    return {
        "by": by,
        "initial": initial,
        "main": main,
        "name": name,
        "paths": paths,
        "repeatable": repeatable,
        "types": types + (["generic_worker"] if generic else []),
    }

_READ = ["GET", "HEAD"]
_CLIENT = "^/_matrix/client/"
_ALL = _CLIENT + "(api/v1|r0|v3|unstable)/"
_NEW = _CLIENT + "(r0|v3|unstable)/"
_FEDERATION = "^/_matrix/federation/"
_ADMIN = "^/_synapse/admin/v1/"

_ACCOUNT_DATA = [_NEW + ".*/tags", _NEW + ".*/account_data"]
_PRESENCE = [_ALL + "presence/"]
_PUSH_RULES = [_ALL + "pushrules/"]
_SUBSCRIPTION = [_CLIENT + "unstable/io.element.msc4306/rooms/.*/thread/.*/subscription$"]
_INITIAL_SYNC = [
    _CLIENT + "(api/v1|r0|v3)/initialSync$",
    _CLIENT + "(api/v1|r0|v3)/rooms/[^/]+/initialSync$",
]
_SYNC = _CLIENT + "(r0|v3)/sync$"
_SLIDING_SYNC = _CLIENT + "unstable/org.matrix.simplified_msc3575/sync$"

# In the order in which a proxy must try them. Stream writers come first, because another process
# must pass each write on to them, and some processes refuse it.
ROUTES = [
    _route(
        "typing",
        ["typing"],
        _paths([_ALL + "rooms/.*/typing"]),
        # Any other process answers 500: "on instance that is not typing writer".
        main = False,
        generic = False,
    ),
    _route(
        "to_device",
        ["to_device"],
        _paths([_NEW + "sendToDevice/"]),
        by = "user",
        # Any other process answers 500, because of an assertion: "_can_write_to_device".
        main = False,
        generic = False,
    ),
    _route("account_data", ["account_data"], _paths(_ACCOUNT_DATA), by = "user", generic = False),
    _route(
        "receipts",
        ["receipts"],
        _paths([_NEW + "rooms/.*/receipt", _NEW + "rooms/.*/read_markers"]),
        by = "user",
        # Any other process answers 500, because of an assertion: "_can_write_to_receipts".
        main = False,
        generic = False,
        repeatable = True,
    ),
    _route("presence", ["presence"], _paths(_PRESENCE), by = "user", generic = False),
    _route(
        "push_rules",
        ["push_rules"],
        _paths(_PUSH_RULES, since = 105),
        by = "user",
        # Any other process answers 500 to a change: "Cannot handle PUT /push_rules on worker".
        main = False,
        generic = False,
    ),
    _route(
        "thread_subscriptions",
        ["thread_subscriptions"],
        _paths(_SUBSCRIPTION, since = 135),
        by = "user",
        # Any other process answers 500 to a change, because of an assertion in the same way.
        main = False,
        generic = False,
    ),
    _route(
        "device_lists",
        ["device_lists"],
        _paths(
            [
                _CLIENT + "(r0|v3)/delete_devices$",
                _ALL + "devices(/|$)",
                _ALL + "keys/device_signing/upload$",
                _ALL + "keys/signatures/upload$",
                _CLIENT + "unstable/org.matrix.msc3814.v1/dehydrated_device$",
            ],
            since = 135,
        ),
        by = "user",
    ),
    _route(
        "key_upload",
        ["device_lists", "frontend_proxy"],
        _paths([_NEW + "keys/upload"]),
        by = "user",
        repeatable = True,
    ),
    _route(
        "media_quarantine",
        ["quarantined_media_changes"],
        _paths([
            _ADMIN + "quarantine_media/.*$",
            _ADMIN + "room/.*/media/quarantine$",
            _ADMIN + "user/.*/media/quarantine$",
            _ADMIN + "media/quarantine/.*$",
            _ADMIN + "media/unquarantine/.*$",
        ], since = 152),
        main = False,
        generic = False,
        repeatable = True,
    ),
    _route(
        "media",
        ["media_repository"],
        _paths([
            "^/_matrix/media/",
            _CLIENT + "v1/media/",
            _FEDERATION + "v1/media/",
            _ADMIN + "purge_media_cache$",
            _ADMIN + "room/.*/media.*$",
            _ADMIN + "user/.*/media.*$",
            _ADMIN + "media/.*$",
            _ADMIN + "quarantine_media/.*$",
            _ADMIN + "users/.*/media$",
        ]),
        # A plan with such a worker sets enable_media_repo to false for all other processes.
        main = False,
        generic = False,
        # A second upload leaves at most a file that nothing refers to.
        repeatable = True,
    ),
    _route(
        "initial_sync",
        ["initial_synchrotron", "synchrotron"],
        _paths([_SYNC], _READ),
        by = "user",
        initial = "since",
    ),
    _route(
        "initial_room_sync",
        ["initial_synchrotron", "synchrotron"],
        _paths(_INITIAL_SYNC, _READ),
        by = "user",
    ),
    _route(
        "initial_sliding_sync",
        ["initial_synchrotron", "synchrotron"],
        _paths([_SLIDING_SYNC], since = 114),
        by = "user",
        initial = "pos",
        repeatable = True,
    ),
    _route(
        "sync",
        ["synchrotron"],
        _paths([_SYNC, _CLIENT + "(api/v1|r0|v3)/events$"], _READ) +
        _paths([_SLIDING_SYNC], since = 114),
        by = "user",
        repeatable = True,
    ),
    _route(
        "federation_transactions",
        ["federation_inbound", "federation_reader"],
        _paths([_FEDERATION + "v1/send/"]),
        by = "origin",
    ),
    _route(
        "federation",
        ["federation_reader"],
        _paths([
            _FEDERATION + "v1/event/",
            _FEDERATION + "v1/state/",
            _FEDERATION + "v1/state_ids/",
            _FEDERATION + "v1/backfill/",
            _FEDERATION + "v1/get_missing_events/",
            _FEDERATION + "v1/publicRooms",
            _FEDERATION + "v1/query/",
            _FEDERATION + "v1/make_join/",
            _FEDERATION + "v1/make_leave/",
            _FEDERATION + "v1/event_auth/",
            _FEDERATION + "v1/exchange_third_party_invite/",
            _FEDERATION + "v1/user/devices/",
            _FEDERATION + "v1/user/keys/(query|claim)$",
            _FEDERATION + "v1/openid/userinfo$",
            _FEDERATION + "v1/hierarchy/",
            _FEDERATION + "unstable/rooms/.*/complexity$",
            _FEDERATION + "(v1|v2)/send_join/",
            _FEDERATION + "(v1|v2)/send_leave/",
            _FEDERATION + "(v1|v2)/invite/",
            "^/_matrix/key/v2/query",
            # The page has them only since 1.108 and 1.130, but workers have always served them.
            _FEDERATION + "v1/make_knock/",
            _FEDERATION + "v1/send_knock/",
            _FEDERATION + "v1/version$",
        ]) +
        _paths([_FEDERATION + "v1/timestamp_to_event/"], since = 73) +
        _paths([_FEDERATION + "unstable/org.matrix.msc4370/extremities/"], since = 150),
        by = "origin",
        repeatable = True,
    ),
    _route(
        "sending",
        ["event_creator"],
        _paths([
            _ALL + "rooms/.*/redact",
            _ALL + "rooms/.*/send",
            _ALL + "rooms/.*/(join|invite|leave|ban|unban|kick)(/|$)",
            _ALL + "join/",
        ]) +
        # Before 1.163, docs/workers.md named no method; reads of the state go here as well.
        _paths([_ALL + "rooms/.*/state/"]) +
        _paths([_ALL + "knock/"], since = 79),
        by = "room",
    ),
    _route(
        "rooms_and_profiles",
        ["event_creator"],
        _paths([_ALL + "createRoom(/|$)", _ALL + "profile/"]) +
        _paths([_CLIENT + "unstable/uk.tcpip.msc4133/profile/"], since = 126),
        by = "user",
    ),
    _route(
        "delayed_events",
        ["event_creator"],
        # Other requests under this path are served only by the main process.
        _paths([_CLIENT + "unstable/org.matrix.msc4140/delayed_events$"], _READ, since = 116) +
        _paths([_CLIENT + "unstable/org.matrix.msc4140/delayed_events/[^/]+$"], _READ, since = 163) +
        _paths(
            [_CLIENT + "unstable/org.matrix.msc4140/delayed_events/[^/]+/restart$"],
            since = 144,
        ),
        repeatable = True,
    ),
    _route(
        "pagination",
        ["client_reader"],
        _paths([_ALL + "rooms/.*/messages$"]),
        by = "room",
    ),
    _route(
        "user_directory",
        ["user_dir", "client_reader"],
        _paths([_NEW + "user_directory/search$"]),
        repeatable = True,
    ),
    _route(
        "sso",
        ["client_reader"],
        _paths([
            _ALL + "login/sso/redirect",
            _ALL + "login/cas/ticket$",
            "^/_synapse/client/pick_idp$",
            "^/_synapse/client/pick_username",
            "^/_synapse/client/new_user_consent$",
            "^/_synapse/client/sso_register$",
            "^/_synapse/client/oidc/callback$",
            "^/_synapse/client/saml2/authn_response$",
        ]),
        by = "one",
    ),
    _route(
        "registration",
        ["client_reader"],
        _paths([_ALL + "login$", _NEW + "register$"]) +
        _paths([_CLIENT + "v1/register/m.login.registration_token/validity$"], _READ) +
        _paths([_NEW + "register/available$"], since = 80) +
        _paths([_NEW + "password_policy$"], since = 81),
    ),
    _route("delegated_authentication", ["client_reader"], _paths(["^/_synapse/mas/"], since = 136)),
    _route(
        "reads",
        ["client_reader"],
        _paths([
            _ALL + "publicRooms$",
            _ALL + "rooms/.*/joined_members$",
            _ALL + "rooms/.*/context/.*$",
            _ALL + "rooms/.*/members$",
            _ALL + "rooms/.*/state$",
            _ALL + "rooms/.*/event/",
            _ALL + "events/",
            _CLIENT + "v1/rooms/.*/hierarchy$",
            _NEW + "account/3pid$",
            _NEW + "account/whoami$",
            _CLIENT + "versions$",
            _ALL + "voip/turnServer$",
            _ALL + "joined_rooms$",
            _ALL + "search$",
            _NEW + "keys/query$",
            _NEW + "keys/changes$",
            _NEW + "keys/claim$",
            _NEW + "room_keys/",
            _CLIENT + "(api/v1|r0|v3|unstable/.*)/rooms/.*/aliases",
            _CLIENT + "unstable/im.nheko.summary/rooms/.*/summary$",
        ]) +
        # Since 1.135, workers also change devices: the route device_lists has these paths too.
        _paths([_NEW + "devices$"], _READ) +
        _paths(
            [_CLIENT + "(v1|unstable)/rooms/.*/relations/", _CLIENT + "v1/rooms/.*/threads$"],
            since = 70,
        ) +
        _paths([_CLIENT + "v1/rooms/.*/timestamp_to_event$"], since = 73) +
        _paths([_NEW + "user/.*/filter(/|$)"], since = 79) +
        _paths([_ALL + "directory/room/.*$", _NEW + "capabilities$"], since = 82) +
        _paths([_NEW + "notifications$"], since = 93) +
        _paths([_CLIENT + "unstable/im.nheko.summary/summary/.*$"], since = 107) +
        _paths([_NEW + "account/deactivate$"], since = 135) +
        _paths([_CLIENT + "unstable/io.element.msc4308/thread_subscriptions$"], _READ, since = 141) +
        _paths([_CLIENT + "v1/room_summary/.*$"], since = 156),
        repeatable = True,
    ),
    # What only the writer of a stream may change, every worker may read.
    _route(
        "reads_of_streams",
        ["client_reader"],
        _paths(_PUSH_RULES, _READ) +
        _paths(_ACCOUNT_DATA + _PRESENCE, _READ, since = 122) +
        _paths(_SUBSCRIPTION, _READ, since = 135),
        by = "user",
    ),
    _route(
        "administration",
        ["client_reader"],
        _paths([_ADMIN + "rooms/[^/]+$"], since = 130) +
        _paths(["^/_synapse/admin/v2/users/[^/]+$"], _READ, since = 145),
    ),
]
