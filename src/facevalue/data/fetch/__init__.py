"""Fetching known public sets: downloaded, checked, unpacked safely, placed whole."""
