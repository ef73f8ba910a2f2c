"""Booking an appointment at a register office: a small service that confirms by email."""
