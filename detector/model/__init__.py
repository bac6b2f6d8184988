"""The network, its weights and their card."""
