"""Notices: the in-app inbox, and the region's queue of e-mails."""
