"""The lab in virtual time: real speakers, simulated links, one seed."""
