"""One file a domain: paths, what they take, what they answer."""
