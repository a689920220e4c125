"""`genkey`, `pubkey` and `genpsk`: what `wg` prints, octet for octet; `genmackey` does the same for Babel's keys."""

import sys

import click

from babelwg.cli.exits import NEGATIVE, Failure

MAX_INPUT = 4096  # octets; a key has 44


@click.command()
def genkey() -> None:
    """Print a new private key."""
    from babelwg.config.keys import generate_private

    click.echo(str(generate_private()))


@click.command()
def genpsk() -> None:
    """Print a new preshared key."""
    from babelwg.config.keys import generate_psk

    click.echo(str(generate_psk()))


@click.command()
def genmackey() -> None:
    """Print a new value for a `key` line: 32 random octets, in hexadecimal."""
    import secrets

    click.echo(secrets.token_hex(32))


@click.command()
def pubkey() -> None:
    """Read a private key from stdin and print its public key."""
    from babelwg.config.keys import Key, public_of

    text = sys.stdin.buffer.read(MAX_INPUT).decode(errors="replace")
    try:
        click.echo(str(public_of(Key.parse(text))))
    except ValueError as error:
        raise Failure(f"stdin holds no private key: {error}", NEGATIVE) from None
