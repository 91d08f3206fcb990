"""What lies in a model folder: headers, shards, tokenizer, template, fingerprint, and safe loading."""
