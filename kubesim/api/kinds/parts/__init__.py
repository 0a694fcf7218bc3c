"""What several kinds share: metadata, Pod templates, Pod specs, small checks. No kind of its own lives here."""
