"""The database, the rules, the pages and the API. Never torch: of the detector only `detector.slide`."""
