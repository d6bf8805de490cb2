"""The local cloud: runs the whole shop on this machine."""
