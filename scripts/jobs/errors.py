"""The one exception that stands for bad input."""


class InputError(ValueError):
    """Something the user gave is wrong: a config key, a line of a file, a checkpoint, a download.

    The message names the place, what was found, what was expected and, where there is one, the remedy. A job that
    raises it ends with that message alone, without a traceback (see `jobs.log.job_log`).
    """
