"""A typed client of the REST service, sync and async."""
