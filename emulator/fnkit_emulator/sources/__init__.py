"""Event sources: pollers that read queues and call the functions behind them, with the batches that Lambda delivers."""
