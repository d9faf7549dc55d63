"""What tests of small models share."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from surgery.cluster import on_loopback
from tests.surgery.ray_cluster import patiently


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tensors this small are computed sooner by one thread than handed to two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray of two workers that the user has initialised, on loopback alone."""
    import ray

    def start() -> None:
        with on_loopback():
            ray.init(
                address="local",
                num_cpus=2,
                object_store_memory=100_000_000,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
            )

    patiently(start)
    yield ray
    ray.shutdown()
