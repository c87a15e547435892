"""Deep Global Clustering as published: prototypes, mean-shift, losses and their balance."""
