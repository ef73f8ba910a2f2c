"""The sandbox's pages: a mailbox to look into, and faults to order. See docs/mailbox.md."""
