"""Processes of one start find each other in a store that still has what earlier ones wrote."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch.distributed as dist

from facevalue.training.meeting import token_of_this_start


@pytest.fixture
def store() -> dist.TCPStore:
    """The store of an agent; every process below has a connection of its own."""
    return dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=20))


def met(store: dist.TCPStore, order: list[int]) -> set[str]:
    """The tokens of processes that come one after the other in this order."""

    def come(place: int) -> str:
        time.sleep(0.15 * place)
        own = dist.TCPStore("127.0.0.1", store.port, is_master=False, timeout=timedelta(seconds=20))
        return token_of_this_start(own, order[place], len(order), timedelta(seconds=20))

    with ThreadPoolExecutor(len(order)) as pool:
        return set(pool.map(come, range(len(order))))


@pytest.mark.parametrize("orders", [[[0, 1, 2], [2, 1, 0], [1, 0, 2]], [[1, 0], [1, 0], [0, 1]]])
def test_each_start_has_a_token_of_its_own_whoever_comes_first(store: dist.TCPStore, orders: list[list[int]]) -> None:
    tokens = [met(store, order) for order in orders]
    assert all(len(one) == 1 for one in tokens)
    assert len(set.union(*tokens)) == len(orders)


def test_a_process_that_does_not_come_is_waited_for_only_so_long(store: dist.TCPStore) -> None:
    with pytest.raises(TimeoutError, match="2 of 3 processes did not come"):
        token_of_this_start(store, 0, 3, timedelta(seconds=0.1))
    with pytest.raises(TimeoutError, match="the first process did not come"):
        token_of_this_start(store, 1, 3, timedelta(seconds=0.1))
