"""Score many images: decode workers, an asynchronous engine, and Parquet files that a killed run goes on from."""
