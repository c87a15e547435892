"""Arguments of the train command under which it is quick; equal ones share compiled programs."""

DGC_ARGUMENTS = (
    *("dgc", "--num_clusters", "3", "--teacher_student.mixture_starts", "2", "--devices", "1"),
    *("--views.crop", "12", "--stream.batch_size", "2", "--stream.tile_size", "32"),
    *("--encoder.hidden_width", "8", "--encoder.spatial_channels", "4"),
    *("--encoder.num_blocks", "1", "--log_every", "1"),
)
GMCR_ARGUMENTS = (
    *("gmcr", "--devices", "1", "--restarts", "2", "--solver.max_active", "4"),
    *("--solver.steps_per_phase", "40", "--solver.noise_refit_every", "20"),
    *("--amortised.training_steps", "100", "--amortised.batch_size", "32"),
    *("--amortised.steps_per_call", "100", "--amortised.hidden_width", "8"),
)
"""With tables of 40 spectra of 50 bands the programs are those of `tests.helpers.mixtures`."""
