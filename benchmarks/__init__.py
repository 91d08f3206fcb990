"""Speed as committed measurements: each benchmark compares Mozhu with a named peer or a physical limit."""
