"""`manage.py demo`: five e-mails, each with another fate, followed to their ends in the terminal."""
