"""Training settings of LLaMA-Factory, ms-swift and Axolotl, read and written as a config file of ours."""
