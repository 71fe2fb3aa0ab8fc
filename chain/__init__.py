"""A node, read at one pinned block, and the Snapshot it leaves on disk. Nothing here knows a protocol."""
