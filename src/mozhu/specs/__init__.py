"""Floor 2: what may be asked for, one frozen typed model per verb, and the records the wings exchange."""
