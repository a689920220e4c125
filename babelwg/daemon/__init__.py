"""The shell around the cores: asyncio services, reconciliation, questions and answers."""
