"""What a peer has had us do: a neighbour on a shared interface, all addresses together on a point-to-point one."""

from babelwg.babel.tables.allowance import Allowance


class Account:
    """What is counted against a peer; that of a point-to-point interface outlasts the neighbours there."""

    __slots__ = (
        "answer_work",
        "dump_allowed",
        "flap_work",
        "link_work",
        "pending_requests",
        "refusal_told",
        "retold",
        "route_work",
        "source_work",
    )

    def __init__(self) -> None:
        self.route_work = Allowance()
        self.link_work = Allowance()
        self.flap_work = Allowance()
        self.source_work = Allowance()
        self.answer_work = Allowance()
        self.pending_requests = 0  # entries of the request table that it caused
        self.refusal_told = float("-inf")  # when it was last said that it announces too much, in seconds
        self.retold = float("-inf")  # when retractions were last told again to who asked, in seconds
        self.dump_allowed = 0.0  # from when on a full dump is paid out again, in seconds (§3.8.1.1)
