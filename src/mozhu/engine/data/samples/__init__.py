"""Generated sample rows: small worlds with grammars of their own, the same bytes for the same request everywhere."""
