"""What backends share whose model answers over the network: calls, what is sent, what comes back."""
