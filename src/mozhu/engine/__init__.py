"""Mozhu: engine."""

import logging

# It tells at import which optional kernels are missing, and in 8 bits writes a line for each product.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
