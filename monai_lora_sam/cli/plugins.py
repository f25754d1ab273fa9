"""Commands that packages offer under a name, loaded when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from monai_lora_sam.cli.console import errors
from monai_lora_sam.registry import Registry


class RegisteredCommands(Mapping[str, Any]):
    """Map the names of a registry to commands.

    A package offers each command as a :class:`typer.Typer`. If one cannot be loaded, its help says why and running
    it is an error; all others stay usable.

    Args:
        registry: of Typer applications.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def __iter__(self) -> Iterator[str]:
        return iter(self.registry.names())

    def __len__(self) -> int:
        return len(self.registry.names())

    def __contains__(self, name: object) -> bool:
        return name in self.registry.names()

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        try:
            app = self.registry.load(name)
            if not isinstance(app, typer.Typer):
                raise TypeError(f"expected a typer.Typer, found {type(app).__name__}")
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            app = _unusable(f"{self.registry.kind} {name!r} cannot be loaded: {error}")
        command = typer.main.get_command(app)
        command.name = name
        # Completion is an option of the whole program, not of each command.
        command.params = [one for one in command.params if not str(one.name).endswith("_completion")]
        return command


def _unusable(message: str) -> typer.Typer:
    app = typer.Typer()

    @app.command(help=message, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def fail() -> None:
        errors.print(f"[bold red]error:[/] {message}", highlight=False, soft_wrap=True)
        raise typer.Exit(1)

    return app


class PluginGroup(TyperGroup):
    """Offer the commands of a registry; a subclass names it."""

    registry: Registry

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": {}})
        self.commands = RegisteredCommands(self.registry)  # type: ignore[assignment]

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names without loading the commands."""
        return list(self.commands)
