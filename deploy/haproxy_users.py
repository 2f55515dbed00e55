"""Finds the user of an access token that does not name it, for HAProxy, in Lua.

The rules are from HAProxy's Lua documentation ("HTTPClient class", "core.register_action") and from
its configuration manual ("lua-load-per-thread").
"""

from deploy.options import Options
from deploy.routing import WHOAMI

_SECONDS = 300  # How long a user is kept at least.
_TOKENS = 20_000  # How many are kept at most, twice, in each thread.

_SCRIPT = """\
-- The script for HAProxy 2.6 or newer that finds the users of access tokens.
-- It asks the main process, and keeps each answer for {seconds} to {twice} seconds.
local young, old, count, since = {{}}, {{}}, 0, 0

local function ask(token)
    local response = core.httpclient():get{{
        url = "http://{address}{path}",
        headers = {{authorization = {{"Bearer " .. token}}, host = {{"localhost"}}}},
        timeout = 2000,
    }}
    if response.status ~= 200 then
        return nil
    end
    return response.body:match('"user_id"%s*:%s*"@([^":]*):')
end

-- Replaces the access token in txn.key with the base64 of the user's localpart, as in Synapse's own
-- tokens. If that is not found, the token remains the key.
core.register_action("synapse_user", {{"http-req"}}, function(txn)
    local token = txn:get_var("txn.key")
    local now = core.now().sec
    if now - since >= {seconds} or count >= {tokens} then
        young, old, count, since = {{}}, young, 0, now
    end
    local user = young[token] or old[token]
    if user == nil then
        local ok, localpart = pcall(ask, token)
        if not ok or localpart == nil then
            return
        end
        user = txn.c:base64(localpart):gsub("=+$", "")
    end
    if young[token] == nil then
        young[token] = user
        count = count + 1
    end
    txn:set_var("txn.key", user)
end)
"""


def script(options: Options) -> str:
    """Return the script that finds the users of access tokens."""
    return _SCRIPT.format(
        address=options.own_address,
        path=WHOAMI,
        seconds=_SECONDS,
        twice=2 * _SECONDS,
        tokens=_TOKENS,
    )


def setting(options: Options) -> str:
    """Return the global setting that loads the script."""
    return f"lua-load-per-thread {options.script}"


def section(options: Options, server: str) -> list[str]:
    """Return the section that passes the script's requests on to the main process.

    Args:
        options: the administrator's choices.
        server: the line of the main process.
    """
    return [
        "# The script's own requests.",
        "listen synapse_users from synapse_defaults",
        f"    bind {options.own_address}",
        "    timeout connect 1s",
        "    timeout server 2s",
        "    retries 0",
        f"    {server}",
    ]
