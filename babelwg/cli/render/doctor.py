"""Findings as text: faults first and in full, then warnings, and what is in order in one line."""

from typing import Any

import click

from babelwg.cli.render.layout import has_colour, wrap
from babelwg.cli.render.units import interval

WORDS = {"ok": "ok", "warn": "warn", "fail": "FAIL"}
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
INDENT = " " * 6


def render_doctor(data: dict[str, Any], width: int, show_all: bool) -> str:
    """Return the findings of an examination."""
    findings = data["findings"]
    faults = [f for f in findings if f["verdict"] == "fail"]
    warnings = [f for f in findings if f["verdict"] == "warn"]
    fine = [f for f in findings if f["verdict"] == "ok"]
    parts = [_block(finding, width) for finding in (*faults, *warnings)]
    if fine and show_all:
        parts.append("\n".join(_head(finding, width) for finding in fine))
    elif fine:
        names = ", ".join(dict.fromkeys(finding["check"] for finding in fine))
        parts.append(wrap(f"{_verdict('ok')}  {_checks(len(fine))} in order: {names}", width, INDENT))
    if not data["daemon"]:
        parts.append("No daemon answers, so only what needs none was examined.")
    parts.append(_sum(data, len(faults), len(warnings)))
    return "\n".join(parts) if not faults and not warnings else "\n\n".join(parts)


def _block(finding: dict[str, Any], width: int) -> str:
    lines = [_head(finding, width)]
    if finding["cause"]:
        lines.append(wrap(f"{INDENT}cause: {finding['cause']}", width, INDENT + "  "))
    if finding["mend"]:
        lines.append(wrap(f"{INDENT}mend:  {finding['mend']}", width, INDENT + "  "))
    return "\n".join(lines)


def _head(finding: dict[str, Any], width: int) -> str:
    subject = "" if finding["subject"] == "node" else f" {finding['subject']}"
    text = wrap(
        f"{WORDS[finding['verdict']]:4}  {finding['check']}{subject}: {finding['found']}", width, INDENT
    )
    return _verdict(finding["verdict"]) + text[4:]


def _verdict(verdict: str) -> str:
    """Return the word of a verdict, coloured where that may be."""
    word = f"{WORDS[verdict]:4}"
    return click.style(word, fg=COLOURS[verdict], bold=verdict == "fail") if has_colour() else word


def _sum(data: dict[str, Any], faults: int, warnings: int) -> str:
    took = f", in {interval(round(data['took_s'], 1))}" if data["daemon"] else ""
    about = f" with {data['peer']}" if data["peer"] else ""
    if not faults and not warnings:
        return f"Nothing is wrong{about}{took}."
    return f"{_count(faults, 'fault')} and {_count(warnings, 'warning')}{about}{took}."


def _checks(number: int) -> str:
    return _count(number, "check")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number or 'no'} {noun}s"
