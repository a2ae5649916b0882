"""The low side: from a spec to a signed bundle on removable media."""
