"""Built-in data with known truth: leaf scenes and mixed spectra."""
