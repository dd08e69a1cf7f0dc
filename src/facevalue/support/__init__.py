"""Files, processors, progress and number formats: what every part may use."""
