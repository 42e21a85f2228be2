"""A WHERE clause put together from optional conditions."""


class Conditions:
    """All must hold. Texts are our own; what users say goes into the arguments."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self.arguments: list[object] = []

    def add(self, text: str, *arguments: object) -> None:
        """Ask for one more."""
        self._texts.append(text)
        self.arguments.extend(arguments)

    def __str__(self) -> str:
        return "WHERE " + " AND ".join(self._texts)
