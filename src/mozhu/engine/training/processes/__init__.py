"""Training in several processes: how they are started, what each one reads, and what they tell one another."""
