"""The macro that WORKSPACE calls in both modes; in debian mode, the private root has the tools."""

def oci_register_toolchains(name):
    """Registers nothing.

    Args:
        name: The name, as in rules_oci.
    """
