"""Images on disk: listing, scanning, grouping, splitting, reading."""
