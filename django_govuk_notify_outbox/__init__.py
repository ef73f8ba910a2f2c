"""Send e-mail through GOV.UK Notify from Django: not lost, not doubled, and every e-mail's story kept."""

__version__ = "0.1.0.dev0"
