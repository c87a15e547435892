"""Time of a training step on more devices, on paper, from the work and traffic of eight.

    compute = max(FLOP / rate, bytes / bandwidth)      of the busiest device
    traffic = calls * latency + 2 (n - 1) / n * bytes / link      ring all-reduce among n devices

Both are added: the all-reduce of the gradient is not overlapped with its computation, and
collectives are not combined, as compilers for GPUs may do. The four windows of a step are spread
over eight devices; larger batches give each device 32 windows of its own.
"""

from typing import Any

ASSUMPTIONS = {
    "device": "NVIDIA H100 SXM",
    "tflops": 10.0,  # float32 in small convolutions and products, 15 % of its peak of 67
    "memory_gb_per_second": 1700.0,  # half of its 3,350
    "node_link_gb_per_second": 225.0,  # NVLink, half of its 450 each way
    "node_latency_us": 20.0,  # of an all-reduce among 8 devices
    "host_link_gb_per_second": 25.0,  # 400 Gbit/s a device between hosts, half of it
    "host_latency_us": 60.0,  # of an all-reduce among 32 hosts
    "devices_a_host": 8,
}
"""By hand, from the maker's data sheet; halves and shares are usual for work of this size."""
WINDOWS_A_DEVICE = 32
"""Of the projection to larger batches: 144 MB of windows at 200 bands. Chosen by hand."""


def projection(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Seconds and efficiency of a step on one device, on 8, and on 32 hosts of 8.

    Args:
        rows: of `benchmarks.runtime.scaling`, the step on 1 and on 8 devices among them.
    """
    own = (row for row in rows if row["processes"] == 1)
    steps = {row["devices"]: row for row in own if row["case"] == "step"}
    if not {1, 8} <= steps.keys():
        return []
    one, eight = compute_seconds(steps[1]), compute_seconds(steps[8])
    many = one * WINDOWS_A_DEVICE / 4
    projected = [{"devices": 1, "batch": 4, "compute_seconds": one, "traffic_seconds": 0.0}]
    for num_devices, batch, compute in (
        (8, 4, eight),
        (8, 8 * WINDOWS_A_DEVICE, many),
        (256, 256 * WINDOWS_A_DEVICE, many),
    ):
        projected.append(
            {
                "devices": num_devices,
                "batch": batch,
                "compute_seconds": compute,
                "traffic_seconds": traffic_seconds(steps[8], num_devices),
            }
        )
    for row in projected:
        seconds = row["compute_seconds"] + row["traffic_seconds"]
        row["windows_per_second"] = row["batch"] / seconds
        row["efficiency"] = row["windows_per_second"] / (4 / one) / row["devices"]
    return projected


def compute_seconds(row: dict[str, Any]) -> float:
    """Time of the work of a device: of arithmetic or of memory, whichever takes longer."""
    arithmetic = row["gflop"] / (1e3 * ASSUMPTIONS["tflops"])
    return max(arithmetic, row["mib"] * 2**20 / (1e9 * ASSUMPTIONS["memory_gb_per_second"]))


def traffic_seconds(row: dict[str, Any], num_devices: int) -> float:
    """Time of the collectives of a call: within a host, and then between hosts.

    Args:
        row: of a program on eight devices.
        num_devices: on which it runs.
    """
    own_devices = ASSUMPTIONS["devices_a_host"]
    rings = [(min(num_devices, own_devices), "node")]
    if num_devices > own_devices:
        rings.append((num_devices // own_devices, "host"))
    calls = sum(kind["calls"] for kind in row["moved"].values())
    num_bytes = sum(kind["bytes"] for kind in row["moved"].values())
    return sum(
        calls * 1e-6 * ASSUMPTIONS[f"{link}_latency_us"]
        + 2 * (size - 1) / size * num_bytes / (1e9 * ASSUMPTIONS[f"{link}_link_gb_per_second"])
        for size, link in rings
    )
