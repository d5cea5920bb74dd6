# Of the look-alike: the release that it takes for its own where LOOK_ALIKE_RELEASE says no other.
__version__ = "0.33.0"
