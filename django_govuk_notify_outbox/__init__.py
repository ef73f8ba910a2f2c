"""Send email through GOV.UK Notify from Django: not lost, not doubled, and every email's story kept."""

__version__ = "0.1.0.dev0"
