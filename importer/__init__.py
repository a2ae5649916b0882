"""The high side: from a medium to a loaded registry and object store."""
