"""A whole cluster in one object: configuration, assembly, and what a user does with it."""
