"""A look-alike of vLLM: the tests' own, with nothing of vLLM in it but its words."""
