"""What the library refuses."""


class Error(RuntimeError):
    """What libfcc refuses: where it happened, the rule that was broken, by which value, and what to do.

    `str(error)` says all of it; the parts are empty where there is nothing to say.
    """

    def __init__(
        self, message: str, where: str = "", rule: str = "", value: str = "", hint: str = ""
    ) -> None:
        super().__init__(message)
        self.where = where
        self.rule = rule
        self.value = value
        self.hint = hint


class ConfigError(Error):
    """A configuration, or an option, that breaks a rule."""


class IoError(Error):
    """A file that cannot be read or written."""


class FormatError(Error):
    """A file whose content breaks its format."""
