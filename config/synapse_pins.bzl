"""The table of pins: which (repository, branch) is built from which folder of //config/pins.

Made by: ./bazelw run pin
"""

# (repository, branch) -> folder below //config/pins, Debian suite of the image, names of the
# patches, and whether it has Synapse modules.
SYNAPSE_PINS = {
    ("element-hq/synapse", "master"): {
        "folder": "element-hq_synapse_master",
        "modules": False,
        "patches": [],
        "suite": "trixie",
    },
    ("element-hq/synapse", "v1.144.0"): {
        "folder": "element-hq_synapse_v1.144.0",
        "modules": True,
        "patches": [],
        "suite": "trixie",
    },
    ("matrix-org/synapse", "master"): {
        "folder": "matrix-org_synapse_master",
        "modules": False,
        "patches": [],
        "suite": "bookworm",
    },
    ("matrix-org/synapse", "v1.66.0"): {
        "folder": "matrix-org_synapse_v1.66.0",
        "modules": False,
        "patches": [],
        "suite": "bookworm",
    },
}
