"""The networks, how a cell becomes their input, and how they are kept on disk."""
