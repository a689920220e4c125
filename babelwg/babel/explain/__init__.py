"""Why a prefix is routed as it is, or is not: every candidate, its cost and its verdict."""

from babelwg.babel.explain.explanation import (
    Candidate,
    CostParts,
    Explanation,
    Held,
    PeerAddress,
    Refused,
    Request,
    Told,
    Verdict,
    Waiting,
)
from babelwg.babel.explain.outcome import explain

__all__ = [
    "Candidate",
    "CostParts",
    "Explanation",
    "Held",
    "PeerAddress",
    "Refused",
    "Request",
    "Told",
    "Verdict",
    "Waiting",
    "explain",
]
