"""The exceptions by which a job ends otherwise than done: bad input, and asked to stop."""


class InputError(ValueError):
    """Something the user gave is wrong: a config key, a line of a file, a checkpoint, a download.

    The message names the place, what was found, what was expected and, where there is one, the remedy. A job that
    raises it ends with that message alone, without a traceback (see `jobs.log.job_log`).
    """


class RunAgain(Exception):
    """A job was asked to stop and has saved what it did: run again, it goes on from there.

    It ends the process with exit code 75 (EX_TEMPFAIL of sysexits.h), by which schedulers and scripts tell it from a failure.
    """
