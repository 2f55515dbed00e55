"""The table of pins: which (repository, branch) is built from which folder of //config/pins."""

# (repository, branch) -> external repository that holds its inputs.
SYNAPSE_PINS = {
    ("element-hq/synapse", "master"): "pin_element-hq_synapse_master",
}
