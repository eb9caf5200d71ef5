"""Items in several processes: a process that is killed costs the items in work, not the others."""

import os
import signal
from concurrent.futures.process import BrokenProcessPool

import pytest

from nnunet_paseg.io.processes import Killed, _in_pool, in_processes


def double_or_die(number):
    """Kill the process in which the number is 3."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


@pytest.mark.parametrize("num_processes", [1, 2])
def test_every_item_is_done_once(num_processes):
    assert sorted(in_processes(double_or_die, [0, 1, 2], num_processes)) == [(0, 0), (1, 2), (2, 4)]


def test_a_killed_process_costs_the_items_in_work():
    results = dict(in_processes(double_or_die, range(7), 2))
    lost = {number for number, result in results.items() if isinstance(result, Killed)}
    assert set(results) == set(range(7))
    assert 3 in lost
    assert len(lost) <= 2
    assert all(set(results[number].in_work) == lost for number in lost)
    assert all(results[number] == 2 * number for number in set(range(7)) - lost)


class BrokenPool:
    """A pool of which an idle process was killed."""

    @staticmethod
    def submit(*_arguments):
        raise BrokenProcessPool


def test_a_killed_idle_process_costs_no_item():
    waiting = ["a", "b"]
    assert list(_in_pool(BrokenPool, None, waiting, 2)) == []
    assert waiting == ["a", "b"]
