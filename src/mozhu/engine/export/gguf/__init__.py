"""Model folders as GGUF files, the format of llama.cpp and Ollama."""
