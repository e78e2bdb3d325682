//! The composition root: builds the layers, mounts, signals, readiness; one file per command.
