"""Of a look-alike of vLLM, as the folders of the real one are called."""
