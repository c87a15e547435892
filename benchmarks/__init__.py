"""Speed, memory and quality of jaxhsi, measured; results are in `results`."""
