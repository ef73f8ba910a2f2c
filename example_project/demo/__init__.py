"""`manage.py demo`: five emails, each with another fate, followed to their ends in the terminal."""
