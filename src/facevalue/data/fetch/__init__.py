"""Download public datasets: fetch, verify, unpack safely."""
