"""The name that WORKSPACE calls in both modes; in debian mode the tools are the root's own."""

def oci_register_toolchains(name):
    """Registers nothing.

    Args:
        name: as in rules_oci.
    """
