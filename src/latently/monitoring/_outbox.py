"""Alerts on their way to standard output or a webhook, kept in a spool until they are delivered."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from latently.monitoring._backoff import Backoff
from latently.monitoring._ledger import Ledger, Notify
from latently.monitoring._webhook import DeliveryError, RefusedError

Send = Callable[[bytes], None]
#: Alerts that are delivered between two records of the state.
_AT_ONCE = 20


class Outbox:
    """A spool of alerts and the offset up to which they have been delivered.

    Parameters
    ----------
    spool : Path
        File of the alerts.
    refused : Path
        File for alerts that the receiver refuses for good.
    send : callable
        Sends one line. DeliveryError lets it be tried again, RefusedError sets it aside.
    """

    def __init__(self, spool: Path, refused: Path, send: Send) -> None:
        self.spool, self.refused, self.send = Ledger(spool), refused, send
        self.delivered = 0
        self.backoff = Backoff()

    @property
    def is_empty(self) -> bool:
        """True if all alerts have been delivered."""
        return self.delivered >= self.spool.length

    def deliver(self, notify: Notify) -> bool:
        """Try to deliver some alerts.

        Parameters
        ----------
        notify : callable
            Receives messages.

        Returns
        -------
        bool
            True if the state changed and must be saved.
        """
        if self.is_empty or not self.backoff.is_due():
            return False
        before = self.delivered
        try:
            for line in islice(self.spool.read_from(before), _AT_ONCE):
                self._send(line, notify)
                self.delivered += len(line)
                self.backoff.reset()
        except DeliveryError as error:
            seconds = self.backoff.fail()
            notify(f"{error}. The alerts stay in {self.spool.path}. Next try in {seconds:.0f} s.")
        if self.is_empty:
            self.spool.length = self.delivered = 0
            return True
        return self.delivered > before

    def _send(self, line: bytes, notify: Notify) -> None:
        try:
            self.send(line)
        except RefusedError as error:
            notify(f"{error}. The alert is set aside in {self.refused}.")
            with self.refused.open("ab") as file:
                file.write(line)
