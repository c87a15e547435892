"""The two PyTorch systems as published, to float accuracy; only `--method upstream` uses them."""
