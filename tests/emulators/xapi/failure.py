"""How the emulator refuses: an error code of XenAPI with its parameters."""


class Failure(Exception):
    """`code` and parameters as a client sees them in ErrorDescription."""

    def __init__(self, code: str, *params: object) -> None:
        super().__init__(code, *params)
        self.code = code
        self.params = [str(each) for each in params]

    @property
    def details(self) -> list[str]:
        return [self.code, *self.params]


class Dropped(Exception):
    """The connection is cut here: the client gets no answer at all."""
