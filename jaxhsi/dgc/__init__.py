"""Deep Global Clustering: pure functions over arrays, no files, configs or logging."""
