"""Tables of spectra, and what is known about them."""
