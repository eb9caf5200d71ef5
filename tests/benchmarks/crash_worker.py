"""A worker process that ends like one that a library written in C has crashed; it imports little, to start fast."""

from benchmarks.fuzz.outcome import Trial


def crash_at_second(connection, kind, seed, numbers):
    """Send the outcomes of all trials but the second, which only starts."""
    for number in numbers:
        connection.send(Trial(kind, number, "nii", "values", "crash"))
        if number == 1:
            return
        connection.send(Trial(kind, number, "nii", "values", "message"))
