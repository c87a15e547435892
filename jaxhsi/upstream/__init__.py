"""The two PyTorch systems as published, to float accuracy, for comparison; only `--method upstream` uses them."""
