"""What a run needs around the maths: loop, devices, checkpoints, logs, tiles."""
