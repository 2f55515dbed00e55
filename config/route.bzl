"""What the rows of the routes are made of: groups of paths, and the prefixes of the paths.

The patterns match the path as the client sent it, with its percent-encoding and without the query,
and use only what PCRE and RE2 have in common.
"""

READ = ["GET", "HEAD"]

# Prefixes of paths: ALL_CLIENT with every version of the client API, NEW_CLIENT without the oldest.
CLIENT = "^/_matrix/client/"
ALL_CLIENT = CLIENT + "(api/v1|r0|v3|unstable)/"
NEW_CLIENT = CLIENT + "(r0|v3|unstable)/"
FEDERATION = "^/_matrix/federation/"
ADMIN = "^/_synapse/admin/v1/"

def paths(patterns, methods = [], since = 0):
    """Returns rows for paths: patterns with the methods and the releases to which they apply.

    Args:
        patterns: regular expressions for the path.
        methods: the HTTP methods; if empty, all of them.
        since: the first minor release 1.x whose generic workers serve them; 0 for all supported ones.

    Returns:
        A list of dicts.
    """
    return [{"methods": methods, "pattern": pattern, "since": since} for pattern in patterns]

def route(
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
        paths: the rows of `paths`.
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
