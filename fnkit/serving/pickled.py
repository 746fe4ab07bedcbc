"""A server for models that are pickled: what `hub://v2_model_server` is."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import cast

from fnkit.serving.v2 import V2ModelServer


class PickledModelServer(V2ModelServer):
    """Serves an object with a method `predict(inputs)`, such as a scikit-learn estimator, from the `.pkl` file at *model_path*.

    Loading a pickle runs what is in it: name only files that you trust. `predict_proba` answers `explain` where the model has it.
    """

    def load(self) -> None:
        """Load the model from its file, unless it was given as an object."""
        if self.model is None:
            path, _ = self.get_model(".pkl")
            with open(path, "rb") as file:
                self.model = pickle.load(file)  # noqa: S301  # the user's own model

    def predict(self, request: Mapping[str, object]) -> object:
        """Return the model's outputs for the inputs, as plain lists."""
        return _plain(self.model.predict(request["inputs"]))  # type: ignore[attr-defined]  # what the docstring asks for

    def explain(self, request: Mapping[str, object]) -> object:
        """Return the probabilities of the classes for the inputs."""
        predict = getattr(self.model, "predict_proba", None)
        if predict is None:
            raise NotImplementedError(f"{type(self.model).__name__} has no method predict_proba")
        return _plain(predict(request["inputs"]))


def _plain(outputs: object) -> object:
    """Return *outputs* as JSON can carry them: arrays say it themselves by `tolist`."""
    convert = getattr(outputs, "tolist", None)
    return convert() if convert is not None else list(cast("list[object]", outputs))
