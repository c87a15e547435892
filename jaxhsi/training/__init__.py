"""What a run needs around the maths: loop, devices, checkpoints, metrics, run folder, progress."""
