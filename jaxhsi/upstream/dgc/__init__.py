"""Deep Global Clustering as published: prototypes, mean-shift, its losses and ways of balancing them."""
