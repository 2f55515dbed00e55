"""Finds the user of an access token that does not name it, for nginx with the njs module.

nginx asks the main process at ``/account/whoami`` and keeps the answer. The script is needed for
the one step that directives cannot do: to read the user from the answer.
"""

from deploy.options import Options
from deploy.routing import WHOAMI, Routing

_PATH = "/.synapse-user"  # Only nginx itself can request it.
_NAME = "users.invalid"

_SCRIPT = """\
// The script for nginx that finds the users of access tokens. It needs njs 0.7.9 or newer.
import crypto from 'crypto';

// Sets the header X-Synapse-User to the base64 of the localpart, as in Synapse's own tokens.
async function user(r) {{
    const token = r.variables.synapse_sent_token;
    if (token && !token.startsWith('syt_')) {{
        try {{
            const reply = await ngx.fetch('http://{address}{path}', {{headers: {{
                Host: '{name}',
                Authorization: `Bearer ${{token}}`,
                'X-Synapse-Token': crypto.createHash('sha256').update(token).digest('hex'),
            }}}});
            if (reply.status == 200) {{
                const localpart = (await reply.json()).user_id.slice(1).split(':')[0];
                const encoded = Buffer.from(localpart).toString('base64');
                r.headersOut['X-Synapse-User'] = encoded.replace(/=+$/, '');
            }}
        }} catch (error) {{
            // Without the user, the token itself chooses the worker.
            r.error(`synapse: cannot find the user of an access token: ${{error.message}}`);
        }}
    }}
    r.return(204);
}}

export default {{user}};
"""


def needed(routing: Routing, options: Options) -> bool:
    """Return whether the user of a request can make a difference, and a script can find it."""
    return bool(options.script) and any(
        len(route.servers) > 1 and route.by in ("room", "user") for route in routing.routes
    )


def script(options: Options) -> str:
    """Return the script that finds the users of access tokens."""
    return _SCRIPT.format(address=options.own_address, path=WHOAMI, name=_NAME)


def http_part(options: Options, main: str) -> list[str]:
    """Return the directives for the http block.

    Args:
        options: the administrator's choices.
        main: the URL of the main process.
    """
    return [
        "# Finds the users of access tokens that do not name them; each answer is kept for 5 min.",
        f'js_import synapse from "{options.script}";',
        "js_fetch_timeout 2s;",
        "proxy_cache_path /tmp/nginx-users keys_zone=synapse_users:2m max_size=64m inactive=10m;",
        "server {",
        f"    listen {options.own_address};",
        f"    server_name {_NAME};",
        "    access_log off;",
        "    location / {",
        "        # A variable, so that the name is resolved again.",
        f'        set $synapse_whoami "{main}";',
        "        proxy_pass $synapse_whoami;",
        "        proxy_http_version 1.1;",
        '        proxy_set_header Connection "";',
        '        proxy_set_header X-Synapse-Token "";',
        "        proxy_connect_timeout 1s;",
        "        proxy_read_timeout 2s;",
        "        proxy_cache synapse_users;",
        "        # A hash, since the key is written to a file.",
        "        proxy_cache_key $http_x_synapse_token;",
        "        proxy_cache_valid 200 5m;",
        "        proxy_cache_valid 401 10s;",
        "        proxy_cache_lock on;",
        "        proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;",
        "    }",
        "}",
    ]


def server_part() -> list[str]:
    """Return the location that finds the user of a request."""
    return [f"location = {_PATH} {{", "    internal;", "    js_content synapse.user;", "}"]


def location_part() -> list[str]:
    """Return the directives for a location whose requests need their user."""
    return [
        "# Here, since the request for the user, which shares all variables, has no query.",
        "set $synapse_sent_token $synapse_token;",
        f"auth_request {_PATH};",
        "auth_request_set $synapse_found_user $sent_http_x_synapse_user;",
    ]
