"""Parts of `run`."""
