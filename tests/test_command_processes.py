from types import SimpleNamespace

import pytest

from jaxhsi.command_processes import check_own_part

OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2"}


def test_tasks_that_would_all_do_the_same_are_refused(monkeypatch):
    check_own_part(SimpleNamespace(part=None))  # one task
    for name, value in OPEN_MPI.items():
        monkeypatch.setenv(name, value)
    message = r"task 2 of 4 of Open MPI, which would all do the same; give each .* --part I/4"
    with pytest.raises(ValueError, match=message):
        check_own_part(SimpleNamespace(part=None))
    check_own_part(SimpleNamespace(part="3/4"))
    check_own_part(SimpleNamespace())  # looks at files only
