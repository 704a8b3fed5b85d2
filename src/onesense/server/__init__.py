"""`onesense serve`: Google's, OpenAI's and Cohere's embedding APIs over HTTP, answered by a model of this machine."""
