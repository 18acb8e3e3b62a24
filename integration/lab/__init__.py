"""lab: private servers, sample data and digests for the demo and the integration scenarios."""
