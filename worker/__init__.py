"""Where the web's jobs meet the detector: claim a shard, load, one detector call, save."""
