"""The same verbs for agents, over the Model Context Protocol."""
