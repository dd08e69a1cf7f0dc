"""What the server answers: one file per part of the API."""
