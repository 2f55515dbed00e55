"""A macro that writes the table of worker types as JSON for the Python code."""

load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("//config:routes.bzl", "ROUTES")
load("//config:worker_types.bzl", "FEATURES", "PORTS", "WORKER_APPS", "WORKER_TYPES")

def worker_types_json(name):
    """Writes the tables of worker_types.bzl and routes.bzl to worker_types.json.

    Args:
        name: the name of the target.
    """
    table = {
        "apps": WORKER_APPS,
        "features": FEATURES,
        "ports": PORTS,
        "routes": ROUTES,
        "types": WORKER_TYPES,
    }
    write_file(
        name = name,
        out = "worker_types.json",
        # The empty line ends the last line with a newline.
        content = [json.encode_indent(table, indent = " "), ""],
    )
