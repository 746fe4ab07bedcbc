"""An error of the Lambda API."""

from __future__ import annotations

from typing import Literal


class ApiError(Exception):
    """An error of the Lambda API: its code, message, and HTTP status."""

    def __init__(
        self, status: int, code: str, message: str, *, kind: Literal["User", "Service"] = "User", reason: str = ""
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.kind, self.reason = status, code, message, kind, reason

    def fields(self) -> dict[str, str]:
        """Return the body of the error."""
        fields = {"Type": self.kind, "Message": self.message, "message": self.message}
        return {**fields, "Reason": self.reason} if self.reason else fields
