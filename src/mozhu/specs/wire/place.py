"""Where the service's pages lie, and how one asks for them."""

PREFIX = "/api/v1"
IDEMPOTENCY_KEY = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
