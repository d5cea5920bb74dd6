"""What the look-alikes of SGLang and vLLM share. They serve nothing: they speak, wait, answer and fail as the real
ones.

Standard library only, Python 3.9 and later.

What they go by, beside their command line:
  LOOK_ALIKE_RELEASE     the release whose options and ways they have; that of the package's version.py by default
  LOOK_ALIKE_LOAD_S      seconds from the moment that all ranks are there until the model is loaded; 1 by default
  LOOK_ALIKE_FAULT       what goes wrong: a name of `faults.py`, behind `@` the rank that it befalls; all by default
  LOOK_ALIKE_LAST_WORDS  the error of a rank that dies
  LOOK_ALIKE_DIE_S       seconds from being ready until `die-later` dies; 1 by default
  LOOK_ALIKE_MOE_CONFIG  the config file that a model with experts looks for; nothing is said of one by default
  LOOK_ALIKE_SERVER      the program `sparkbench`, whose mock then answers clients instead of `answers.py`
"""

import os


def seconds(name, default):
    return float(os.environ.get(name) or default)


LOAD_S = seconds("LOOK_ALIKE_LOAD_S", 1)
DIE_S = seconds("LOOK_ALIKE_DIE_S", 1)
SHARDS = 4
