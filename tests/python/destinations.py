"""One service with a stream to each kind of destination: one of them goes down after the other and the service is killed
meanwhile; the others go on, and at the end every destination has each of its records once.

Each is judged as in its own suite: objects of an S3 behind a proxy that plays faults (`faulty_store.py`), requests of a
receiver that drops repeats by their id (`strict_receiver.py`), rows of a real PostgreSQL (`postgres.py`).
"""

import threading
from collections import Counter

import http_endpoint
import oracle
import redshift
from faulty_store import FaultyStore
from harness import FULL, Suite, until
from strict_receiver import Receiver

suite = Suite("destinations")
STREAMS = ("stored", "posted", "loaded")


class Outside:
    """The three destinations, each of which can be away; streams have the names of STREAMS."""

    def __init__(self):
        self.away = set()
        self.lock, self.turns = threading.Lock(), Counter()
        self.postgres = redshift.database("destinations")
        self.receiver = Receiver(self.answer, encoding="gzip")
        self.store = None

    def between(self, url):
        """The store as the service sees it: only what is the stream's own fails, not what is staged for the table."""
        script = lambda store, stream, kind, key, attempt: self.next("stored", ["fail after write", "refuse"]) if stream == "stored" else None
        self.store = FaultyStore(url, script)
        return self.store.url

    def answer(self, stream, identity, attempt):
        return self.next("posted", ["lost", "refuse", "cut off"])

    def next(self, name, faults):
        """The next of the faults, in turn, while that destination is away."""
        with self.lock:
            if name not in self.away:
                return None
            self.turns[name] += 1
            return faults[self.turns[name] % len(faults)]

    def leave(self, name):
        with self.lock:
            self.away.add(name)
        if name == "loaded":
            self.postgres.stop()

    def come_back(self, name):
        if name == "loaded":
            self.postgres.start()
        with self.lock:
            self.away.remove(name)


def delivered(service, names, counts):
    """Until that many records of each are delivered."""
    until(lambda: f"{counts} delivered: {[service.stream(n) for n in names]}", lambda: all(service.ledger(n)["delivered"] >= counts[n] for n in names))


def outage(service, outside, feed, name):
    """That destination is away, and the service dies in the middle of it."""
    others = [each for each in STREAMS if each != name]
    fails = lambda: service.stream(name)["state"] in ("retrying", "needs_operator")
    outside.leave(name)
    until(f"{name} fails", fails)
    for again in (False, True):
        if again:
            service.kill().start()
            feed.api = service.api
            until(f"{name} fails after a kill", fails)
        # What was received until now, and something after it.
        delivered(service, others, {each: service.ledger(each)["received"] + 1 for each in others})
        runs = lambda: all(service.stream(each)["state"] == "running" for each in others)
        until(f"the others run: {[service.stream(each) for each in others]}", runs)
        assert service.ledger(name)["in_flight"] > 0
    outside.come_back(name)
    service.admin(f"/streams/{name}/resume", "POST")
    delivered(service, [name], {name: service.ledger(name)["received"] + 1})
    until(f"{name} runs again", lambda: service.stream(name)["state"] == "running")


def once(service, feed, name, found):
    """Every acknowledged record is there, none twice, and none that was not put; the ledger says so too."""
    found, sent, unclear = Counter(found), set(feed.sent[name]), set(feed.unclear[name])
    lost, alien = sent - found.keys(), found.keys() - sent - unclear
    twice = [number for number, count in found.items() if count > 1]
    assert not lost and not twice and not alien, f"{name}: lost {len(lost)} {list(lost)[:3]}, twice {twice[:3]}, alien {list(alien)[:3]}"
    ledger = service.ledger(name)
    assert (ledger["delivered"], ledger["refused"], ledger["received"]) == (len(found), 0, len(found)), ledger


@suite.test("S3, an HTTP endpoint and a table at once, each away in turn, and kill -9: the others go on, each record once")
def conservation(folder):
    outside = Outside()
    service = folder.hydrant_with_store(between=outside.between, http_endpoint=http_endpoint.FAST, redshift=redshift.FAST).start()
    service.create("stored", interval_s=1, compression="GZIP")
    http_endpoint.create(service, "posted", outside.receiver, encoding="GZIP", interval_s=0)
    redshift.create(service, "loaded", outside.postgres.url("destinations"), interval_s=0)
    feed = redshift.Feed(service, STREAMS)
    for name in STREAMS * (4 if FULL else 1):
        outage(service, outside, feed, name)
    feed.finish()
    for name in STREAMS:
        service.flush(name)
    service.drained(*STREAMS)

    number = lambda line: int(line.split(b",")[0])
    stored = [each.content() for each in oracle.objects(service.s3_client(), service.bucket, "stored/data/")]
    once(service, feed, "stored", [number(line) for content in stored for line in content.splitlines()])
    once(service, feed, "posted", [number(record) for record in outside.receiver.records("posted")])
    once(service, feed, "loaded", redshift.ids("destinations"))
    assert not outside.receiver.deviations, outside.receiver.deviations[:3]
    outside.store.assert_sound()
    repeats = outside.receiver.requests - len(outside.receiver.attempts)
    played = Counter(fault for (_, _, fault), times in outside.store.played.items() for _ in range(times))
    assert repeats and {"fail after write", "refuse"} <= played.keys(), (repeats, played)
    for name in STREAMS:
        assert not oracle.keys(service.s3_client(), service.bucket, f"{name}/error"), name
    print(f"  acknowledged {[len(feed.sent[n]) for n in STREAMS]}, unclear {[len(feed.unclear[n]) for n in STREAMS]}; {len(stored)} objects, "
          f"{len(outside.receiver.attempts)} requests and {repeats} repeats, faults of S3 {dict(played)}: each record once")  # fmt: skip
    http_endpoint.outbox_empty(service)
    assert service.stop() == 0


if __name__ == "__main__":
    suite.main()
