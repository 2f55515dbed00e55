"""The name that WORKSPACE calls in both modes; in debian mode nothing more is needed."""

def rules_oci_dependencies():
    """Declares nothing."""
