"""models/cellmemory."""
