"""A rule that writes the table of worker types as JSON for the Python code."""

load("//config:worker_types.bzl", "FEATURES", "PORTS", "WORKER_APPS", "WORKER_TYPES")

def _worker_types_json_impl(ctx):
    out = ctx.actions.declare_file("worker_types.json")
    table = {"features": FEATURES, "ports": PORTS, "apps": WORKER_APPS, "types": WORKER_TYPES}
    ctx.actions.write(out, json.encode_indent(table, indent = " ") + "\n")
    return [DefaultInfo(files = depset([out]))]

worker_types_json = rule(
    implementation = _worker_types_json_impl,
    doc = "Writes the tables of worker_types.bzl to worker_types.json.",
)
