"""A stand-in for GOV.UK Notify, for development and tests. Never for production: it delivers nothing."""
