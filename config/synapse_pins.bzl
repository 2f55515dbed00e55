"""The table of pins: which (repository, branch) is built from which folder of //config/pins.

Made by: ./bazelw run pin
"""

# (repository, branch) -> folder below //config/pins.
SYNAPSE_PINS = {
    ("element-hq/synapse", "master"): "element-hq_synapse_master",
}
