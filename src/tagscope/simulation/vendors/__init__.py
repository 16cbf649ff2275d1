"""The simulated section as each vendor's machine would have left it on disk."""
