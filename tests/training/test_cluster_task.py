import pytest

from jaxhsi.training.cluster_task import ProcessOptions, process_place

SLURM = {
    **{"SLURM_JOB_ID": "7", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NTASKS": "4"},
    **{"SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "n[1-2]"},
}
OPEN_MPI = {
    **{"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "0"},
    **{"OMPI_COMM_WORLD_LOCAL_SIZE": "1", "OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:3"},
}
OPEN_MPI_5 = {name: value for name, value in OPEN_MPI.items() if "orte" not in name}
KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "1"}
BY_HAND = ProcessOptions(coordinator="node1:55527", num_processes=2, process_id=1)


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        (SLURM, (None, 4, 3, "slurm", "Slurm job 7", "1")),
        (SLURM | {"SLURM_STEP_NUM_NODES": "4"}, (None, 4, 3, "slurm", "Slurm job 7", "all")),
        (SLURM | {"CUDA_VISIBLE_DEVICES": "0"}, (None, 4, 3, "slurm", "Slurm job 7", "all")),
        (SLURM | {"CUDA_VISIBLE_DEVICES": "0,1"}, (None, 4, 3, "slurm", "Slurm job 7", "1")),
        (OPEN_MPI, (None, 2, 1, "ompi", "Open MPI", "all")),
    ],
)
def test_slurm_and_open_mpi_tell_the_place(environment, place):
    assert process_place(ProcessOptions(), environment) == place


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({}, ProcessOptions()),
        (KUBERNETES, ProcessOptions()),  # pods of a job may have nothing to do with each other
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, ProcessOptions()),  # a shell in an allocation
        (SLURM, ProcessOptions(num_processes=1)),
    ],
)
def test_a_process_works_alone(environment, options):
    assert process_place(options, environment) is None


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({}, BY_HAND),
        (KUBERNETES, ProcessOptions(coordinator="node1:55527", num_processes=2)),
        (OPEN_MPI_5, ProcessOptions(coordinator="node1:55527")),
    ],
)
def test_a_place_is_given_by_hand(environment, options):
    place = process_place(options, environment)
    assert place[:4] == ("node1:55527", 2, 1, None)
    assert place.visible_devices == "all"


@pytest.mark.parametrize(
    ("environment", "options", "message"),
    [
        (OPEN_MPI_5, ProcessOptions(), "Open MPI does not tell coordinator; give coordinator"),
        ({}, ProcessOptions(num_processes=2), "processes need coordinator and process_id; give"),
        (KUBERNETES, ProcessOptions(coordinator="a:1"), "several processes need num_processes"),
        ({}, ProcessOptions(coordinator="node1"), "coordinator node1 has no port"),
        (
            {},
            ProcessOptions(coordinator="a:1", num_processes=2, process_id=2),
            "process_id 2 is out of range; give 0 to 1",
        ),
    ],
)
def test_what_is_missing_is_named(environment, options, message):
    with pytest.raises(ValueError, match=message):
        process_place(options, environment)
