"""The exceptions that end a job early: bad input, and a request to stop."""


class InputError(ValueError):
    """Something the user gave is wrong: a config key, a line of a file, a checkpoint, a download.

    The message says where, what was found, what was expected and, if possible, what to do. A job that raises it ends with that
    message and without a traceback (see `jobs.log.job_log`).
    """


class RunAgain(Exception):
    """A job was asked to stop and has saved its work: run again, it resumes from there.

    It ends the process with exit code 75 (EX_TEMPFAIL of sysexits.h), which tells it from a failure.
    """
