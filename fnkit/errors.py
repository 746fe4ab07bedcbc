"""The exceptions of fnkit.

::

    FnkitError                        exit code 1: it was right to try, and it failed
    ├── UsageError                    exit code 2: wrong use or a refused configuration
    │   ├── ManifestError             a graph.json that does not say what a manifest must say
    │   ├── ProblemsError             everything that is wrong with one graph or one file
    │   └── LoadError                 the user's file cannot be loaded
    ├── BundleError                   a bundle cannot be made
    ├── EmulatorError                 the emulator cannot start or go on
    ├── DeployError                   the cloud refused, or cannot be reached
    │   └── CredentialsError          nobody said who we are
    ├── InvokeError                   a function was called and did not answer well
    ├── StreamingError                a stream broke, or was used as no stream can be
    ├── GraphError                    a graph that cannot be built or run (exit code 2)
    └── MLRunHTTPStatusError          raised by steps to choose the HTTP status, under MLRun's names
        ├── MLRunBadRequestError 400 ... MLRunTimeoutError 504

Every error can say *where* the fault lies and give a *hint* at the remedy; the command line
shows both and leaves with `exit_code`.
"""

from __future__ import annotations


class FnkitError(Exception):
    """A failure that fnkit can explain.

    *where* names the place ("streaming_step.py:12", "step 'streamer'"), *hint* says what to do. Both may be empty.
    `str(error)` is the message alone.
    """

    exit_code = 1

    def __init__(self, message: str = "", *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def explain(self) -> str:
        """Return the error for people: place and message on one line, the remedy on the next."""
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class UsageError(FnkitError):
    """Wrong use, or a configuration that is refused."""

    exit_code = 2


class ManifestError(UsageError):
    """A `graph.json` that does not say what a manifest must say."""


class ProblemsError(UsageError):
    """Everything that is wrong with one graph or one file, at once.

    *problems* are `fnkit.manifest.Problem` records, or anything whose `str()` is a line.
    """

    def __init__(self, subject: str, problems: tuple[object, ...], *, hint: str = "") -> None:
        count = len(problems)
        head = f"{count} problem{'s' if count != 1 else ''} in {subject}"
        super().__init__("\n".join([head, *(f"  - {problem}" for problem in problems)]), hint=hint)
        self.problems = problems


class LoadError(UsageError):
    """The user's file cannot be loaded: it is missing, does not parse, or raises while it is imported."""


class BundleError(FnkitError):
    """A bundle cannot be made."""


class EmulatorError(FnkitError):
    """The emulator cannot start or go on."""


class DeployError(FnkitError):
    """The cloud refused a call, or cannot be reached."""


class CredentialsError(DeployError):
    """No credentials were found."""


class InvokeError(FnkitError):
    """A function was called and did not answer well."""


class StreamingError(FnkitError):
    """A stream broke after its start, or was used as no stream can be."""


class GraphError(UsageError):
    """A graph that cannot be built or run."""


class MLRunHTTPStatusError(FnkitError):
    """An error that carries the HTTP status of the answer; the names are those that MLRun's users raise and catch."""

    status = 500


class MLRunBadRequestError(MLRunHTTPStatusError):
    """400 Bad Request."""

    status = 400


class UnreadableBodyError(MLRunBadRequestError):
    """400: a body that is not what its content type says. The answer is the message alone, as MLRun's is."""


class MLRunInvalidArgumentError(MLRunBadRequestError, ValueError):
    """400: an argument has a value that cannot be used."""

    exit_code = 2


class MLRunUnauthorizedError(MLRunHTTPStatusError):
    """401 Unauthorized."""

    status = 401


class MLRunAccessDeniedError(MLRunHTTPStatusError):
    """403 Forbidden."""

    status = 403


class MLRunNotFoundError(MLRunHTTPStatusError):
    """404 Not Found."""

    status = 404


class MLRunMethodNotAllowedError(MLRunHTTPStatusError):
    """405 Method Not Allowed."""

    status = 405


class MLRunConflictError(MLRunHTTPStatusError):
    """409 Conflict."""

    status = 409


class MLRunPreconditionFailedError(MLRunHTTPStatusError):
    """412 Precondition Failed."""

    status = 412


class MLRunUnprocessableEntityError(MLRunHTTPStatusError):
    """422 Unprocessable Entity."""

    status = 422


class MLRunInvalidArgumentTypeError(MLRunBadRequestError, TypeError):
    """400: an argument is of a type that cannot be used."""


class MLRunRuntimeError(MLRunHTTPStatusError, RuntimeError):
    """500: something failed at run time."""


class MLRunInternalServerError(MLRunHTTPStatusError):
    """500 Internal Server Error."""


class MLRunMissingDependencyError(MLRunInternalServerError):
    """500: a package that is needed is not installed."""


class MLRunNotImplementedServerError(MLRunHTTPStatusError):
    """501 Not Implemented."""

    status = 501


class MLRunServiceUnavailableError(MLRunHTTPStatusError):
    """503 Service Unavailable."""

    status = 503


class MLRunTimeoutError(MLRunHTTPStatusError, TimeoutError):
    """504 Gateway Timeout."""

    status = 504


class StepTimeoutError(MLRunTimeoutError):
    """504: a step did not answer, or its stream stood still, for longer than its call options allow."""


class ModelRunnerError(FnkitError):
    """Models of a model runner step failed; the message names each of them."""


class MLRunValueError(MLRunBadRequestError, ValueError):
    """400: a step that cannot be called, or a value of the wrong kind."""
