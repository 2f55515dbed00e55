"""Writes the table of worker types where Python reads it."""

load("//config:worker_types.bzl", "FEATURES", "PORTS", "ROLES", "WORKER_TYPES")

def _worker_types_json_impl(ctx):
    out = ctx.actions.declare_file("worker_types.json")
    table = {"features": FEATURES, "ports": PORTS, "roles": ROLES, "types": WORKER_TYPES}
    ctx.actions.write(out, json.encode_indent(table, indent = " ") + "\n")
    return [DefaultInfo(files = depset([out]))]

worker_types_json = rule(
    implementation = _worker_types_json_impl,
    doc = "worker_types.json: the features, ports, roles and types of //config:worker_types.bzl.",
)
