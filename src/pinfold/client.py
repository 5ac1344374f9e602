"""A typed client of the service, in a few lines."""
