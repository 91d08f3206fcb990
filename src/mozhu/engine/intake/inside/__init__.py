"""What runs in the shut-in process: it imports nothing of ours, and the rest of mozhu never imports it."""
