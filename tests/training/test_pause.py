"""A Ctrl-C waits for the end of a step, and is never lost."""

import os
import signal
import threading

import pytest

from latently.training._signals import deferred_signals


class Stopped(Exception):
    """An exception of a callback that ends a training."""


def press(number=signal.SIGINT):
    os.kill(os.getpid(), number)


def test_it_waits_until_it_is_let_go():
    with pytest.raises(KeyboardInterrupt), deferred_signals() as let_go:
        press()
        waited = True
        let_go()
        waited = False
    assert waited


def test_a_second_one_acts_at_once():
    with pytest.raises(KeyboardInterrupt), deferred_signals():
        press()
        press()
        pytest.fail("the second one waited")


def test_one_that_is_still_held_acts_at_the_end():
    done = False
    with pytest.raises(KeyboardInterrupt), deferred_signals():
        press()
        done = True
    assert done


def test_one_that_is_held_while_a_callback_ends_the_training_is_not_lost():
    with pytest.raises(KeyboardInterrupt), deferred_signals():
        press()
        raise Stopped


def test_the_handlers_are_those_of_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with deferred_signals() as let_go:
        assert signal.getsignal(signal.SIGINT) != before[0]
        let_go()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_other_threads_leave_signals_alone():
    seen = []

    def body():
        with deferred_signals() as let_go:
            let_go()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
