"""A look-alike of SGLang: the tests' own, with nothing of SGLang in it but its words."""
