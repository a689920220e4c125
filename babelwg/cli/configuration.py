"""`config`: what a configuration comes to, read from the files as `check-config` reads them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from babelwg.cli.client import Answer
from babelwg.cli.exits import CONFIGURATION
from babelwg.cli.group import SuggestingGroup, envelope, settings_of, socket_of
from babelwg.cli.setup import daemons_config, daemons_config_option, daemons_file

if TYPE_CHECKING:
    from babelwg.config import BabeldConfig, Config

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON (schema babelwg/1).")


@click.group(cls=SuggestingGroup)
def config() -> None:
    """Look at the configuration; no daemon has to run."""


@config.command()
@daemons_config_option
@click.option(
    "--babeld-conf",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Show a file in babeld's language instead.",
)
@json_option
@click.pass_context
def show(ctx: click.Context, config: Path | None, babeld_conf: Path | None, as_json: bool) -> None:
    """Print every setting with the value that holds, defaults and implicit lines included.

    The output is a configuration again; the values of keys are left out.
    """
    if config is not None and babeld_conf is not None:
        raise click.UsageError("--config and --babeld-conf exclude each other", ctx)
    from babelwg.config import ConfigErrors, load, load_babeld

    given = config or babeld_conf
    path, is_babeld = (given, babeld_conf is not None) if given else daemons_file(socket_of(ctx, None))
    try:
        loaded = load_babeld(path) if is_babeld else load(path)
    except ConfigErrors as errors:
        click.echo(str(errors), err=True)
        ctx.exit(CONFIGURATION)
    if as_json or settings_of(ctx).as_json:
        click.echo(_json(loaded, path))
    else:
        click.echo(_text(loaded), nl=False)


@config.command()
@daemons_config_option
@json_option
@click.pass_context
def path(ctx: click.Context, config: Path | None, as_json: bool) -> None:
    """Print where the configuration is read from."""
    file = daemons_config(socket_of(ctx, None), config).absolute()
    peers = file.with_name("peers.d")
    if as_json or settings_of(ctx).as_json:
        click.echo(envelope(Answer(None, {"config": str(file), "peers_directory": str(peers)})))
    else:
        click.echo(f"{file}\n{peers}")


def _text(loaded: "Config | BabeldConfig") -> str:
    from babelwg.config import Config
    from babelwg.config.babeld.text import babeld_text
    from babelwg.config.toml.text import toml_text

    return toml_text(loaded) if isinstance(loaded, Config) else babeld_text(loaded)


def _json(loaded: "Config | BabeldConfig", path: Path) -> str:
    from babelwg.cli.render.configuration import config_data
    from babelwg.config import Config

    name = loaded.node.name if isinstance(loaded, Config) else None
    return envelope(Answer(name, config_data(loaded, str(path))))
