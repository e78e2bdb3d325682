//! An OSS and S3 server for the demo, the tests and the benchmarks.
