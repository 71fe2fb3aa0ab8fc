"""Parameters for an asset that is to be listed, each by a stated rule from what is known of it."""
