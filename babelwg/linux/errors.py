"""The kernel's refusals, in words that name what was tried and on what."""

import errno as errno_names
import os


class KernelError(Exception):
    """A request that the kernel refused: `operation` on `subject` gave `errno`."""

    def __init__(self, operation: str, subject: str, errno: int, detail: str = "") -> None:
        self.operation = operation
        self.subject = subject
        self.errno = errno
        self.detail = detail
        super().__init__(operation, subject, errno, detail)

    @property
    def reason(self) -> str:
        """The kernel's reason in a few words, such as `File exists (EEXIST)`."""
        name = errno_names.errorcode.get(self.errno, str(self.errno))
        return f"{self.detail or os.strerror(self.errno)} ({name})"

    def __str__(self) -> str:
        return f"{self.operation} {self.subject}: {self.reason}"
