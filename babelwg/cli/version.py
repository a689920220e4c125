"""`version`, `schema` and `completion`."""

import click

from babelwg.cli.exits import nearest
from babelwg.cli.group import envelope, settings_of
from babelwg.version import __version__

HOW = {
    "bash": 'eval "$(babelwg completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(babelwg completion zsh)" in ~/.zshrc',
    "fish": "babelwg completion fish > ~/.config/fish/completions/babelwg.fish",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema babelwg/1).")
@click.pass_context
def version(ctx: click.Context, as_json: bool) -> None:
    """Print the version."""
    if as_json or settings_of(ctx).as_json:
        from babelwg.cli.client import Answer

        click.echo(envelope(Answer(None, {"version": __version__})))
    else:
        click.echo(f"babelwg {__version__}")


@click.command()
@click.argument("answer", required=False)
def schema(answer: str | None) -> None:
    """Print the JSON Schema of what --json prints: of one ANSWER such as `routes`, or of all."""
    import json

    from babelwg.cli.schema import answers, compose

    if answer is not None and answer not in answers():
        known = answers()
        raise click.UsageError(
            f'no such answer "{answer}"{nearest(answer, known)}: one of {", ".join(known)}'
        )
    click.echo(json.dumps(compose(answer), indent=2))


@click.command(epilog="\b\n" + "\n".join(f"{shell}: {how}" for shell, how in HOW.items()))
@click.argument("shell", type=click.Choice(list(HOW)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    from babelwg.cli.completing import register

    register()
    kind = get_completion_class(shell)
    assert kind is not None, "click completes in each of these shells"
    script = kind(ctx.find_root().command, {}, "babelwg", "_BABELWG_COMPLETE")
    # Not script.source(), which starts a bash to learn its version.
    click.echo(script.source_template % script.source_vars())
