"""The error of whoever asks for what cannot be done."""


class CourseError(Exception):
    """It cannot be done as asked; the message is one sentence, to be shown as it stands."""
