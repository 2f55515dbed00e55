"""The macro that WORKSPACE calls in both modes; in debian mode, there are no dependencies."""

def rules_oci_dependencies():
    """Declares nothing."""
