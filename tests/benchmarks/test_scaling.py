"""Figures of `benchmarks.runtime.scaling` against programs and machines reckoned by hand."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from benchmarks.runtime import scaling_projection
from benchmarks.runtime.collectives import device_costs
from jaxhsi.sharding import device_mesh


def test_work_and_traffic_of_a_device_by_hand():
    mesh = device_mesh(4)
    rows, whole = (NamedSharding(mesh, PartitionSpec(axis)) for axis in ("batch", None))

    def product(x, w):
        return jnp.square(x @ w).sum(0)

    jitted = jax.jit(product, in_shardings=(rows, whole), out_shardings=whole)
    costs = device_costs(jitted.lower(jnp.ones((64, 32)), jnp.ones((32, 16))).compile())
    assert costs["moved"] == {"all-reduce": {"calls": 1, "bytes": 16 * 4}}
    assert costs["gflop"] * 1e9 == pytest.approx(2 * 16 * 32 * 16, rel=0.05)  # a quarter of it


def row(devices: int, gflop: float, mib: float, calls: int, num_bytes: int) -> dict:
    moved = {"all-reduce": {"calls": calls, "bytes": num_bytes}} if calls else {}
    costs = {"gflop": gflop, "mib": mib, "moved": moved}
    return {"case": "step", "devices": devices, "processes": 1} | costs


def test_projection_by_hand(monkeypatch):
    machine = {"tflops": 1.0, "memory_gb_per_second": 1.0, "devices_a_host": 8}
    machine |= {"node_link_gb_per_second": 1.0, "node_latency_us": 100.0}
    machine |= {"host_link_gb_per_second": 0.1, "host_latency_us": 1000.0}
    monkeypatch.setattr(scaling_projection, "ASSUMPTIONS", machine)
    rows = [row(1, 8.0, 0.0, 0, 0), row(8, 1.0, 0.0, 2, 4_000_000)]
    one, eight, wide, many = scaling_projection.projection(rows)
    assert one["compute_seconds"] == pytest.approx(8e-3)
    assert one["efficiency"] == pytest.approx(1)
    assert eight["traffic_seconds"] == pytest.approx(2 * 100e-6 + 2 * 7 / 8 * 4e-3)
    assert eight["efficiency"] == pytest.approx(1e-3 / (1e-3 + eight["traffic_seconds"]))
    between_hosts = 2 * 1000e-6 + 2 * 31 / 32 * 4e-2
    assert many["traffic_seconds"] == pytest.approx(eight["traffic_seconds"] + between_hosts)
    own_seconds = 8 * 8e-3  # of 32 windows
    assert wide["windows_per_second"] == pytest.approx(
        256 / (own_seconds + eight["traffic_seconds"])
    )
    assert many["efficiency"] == pytest.approx(
        own_seconds / (own_seconds + many["traffic_seconds"])
    )


def test_without_one_and_eight_devices_nothing_is_projected():
    assert scaling_projection.projection([row(1, 1.0, 1.0, 0, 0)]) == []
